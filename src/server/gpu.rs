//! What NVIDIA's DCGM exporter says of the GPUs of a machine.

use super::page::Page;
use crate::metrics::{Gauge, GpuMetrics};

/// A page of it at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GpuReading {
    gpus: usize,
    /// Watts of all.
    power_w: Option<f64>,
    /// Their mean, as a share.
    utilization: Option<f64>,
    memory_bytes: Option<f64>,
    /// Joules of all since their drivers were loaded.
    energy_j: Option<f64>,
    /// How many have that counter.
    with_energy: usize,
}

impl GpuReading {
    /// `None` where the page has nothing of a GPU's.
    pub fn of(page: &Page) -> Option<Self> {
        const POWER_W: &str = "DCGM_FI_DEV_POWER_USAGE";
        const USE_PERCENT: &str = "DCGM_FI_DEV_GPU_UTIL";
        const MEMORY_MIB: &str = "DCGM_FI_DEV_FB_USED";
        const ENERGY_MJ: &str = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION";
        let gpus = [POWER_W, USE_PERCENT, MEMORY_MIB, ENERGY_MJ].iter().map(|name| page.number(name)).max()?;
        (gpus > 0).then(|| Self {
            gpus,
            power_w: page.sum(POWER_W),
            utilization: page.sum(USE_PERCENT).map(|percent| percent / 100.0 / page.number(USE_PERCENT) as f64),
            memory_bytes: page.sum(MEMORY_MIB).map(|mib| mib * f64::from(1 << 20)),
            energy_j: page.sum(ENERGY_MJ).map(|mj| mj * 1e-3),
            with_energy: page.number(ENERGY_MJ),
        })
    }
}

/// Of a pass that took so long, from readings before, during and after it, which were so far apart.
pub fn of_pass(before: GpuReading, during: &[GpuReading], after: GpuReading, apart_s: f64, pass_s: f64) -> GpuMetrics {
    let power_w = Gauge::over(during, |reading| reading.power_w);
    let counted_w = after.energy_j.zip(before.energy_j).map(|(after, before)| (after - before) / apart_s);
    // A counter that falls was started anew; one that stays is read more seldom than this, or is none.
    let is_counted = before.with_energy == after.with_energy && apart_s > 0.0;
    let counted_w = counted_w.filter(|watts| *watts > 0.0 && watts.is_finite() && is_counted);
    let mean_w = counted_w.or(power_w.map(|power| power.mean));
    GpuMetrics {
        gpus: after.gpus,
        readings: during.len(),
        power_w,
        utilization: Gauge::over(during, |reading| reading.utilization),
        memory_bytes: Gauge::over(during, |reading| reading.memory_bytes),
        energy_j: mean_w.map(|watts| watts * pass_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the exporter's README has it, of two GPUs.
    fn page(watts: f64, energy_mj: Option<f64>) -> GpuReading {
        let labels =
            |gpu: u32| format!("{{gpu=\"{gpu}\",UUID=\"GPU-{gpu}\",modelName=\"NVIDIA H100\",Hostname=\"a\"}}");
        let mut text = "# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).\n".to_owned();
        for gpu in 0..2 {
            let labels = labels(gpu);
            text +=
                &format!("DCGM_FI_DEV_POWER_USAGE{labels} {watts}\nDCGM_FI_DEV_GPU_UTIL{labels} {}\n", 40 + 20 * gpu);
            text += &format!("DCGM_FI_DEV_FB_USED{labels} 1024\nDCGM_FI_DEV_SM_CLOCK{labels} 1980\n");
            text += &energy_mj
                .map_or_else(String::new, |mj| format!("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} {mj}\n"));
        }
        GpuReading::of(&Page::parse(&text).unwrap()).unwrap()
    }

    #[test]
    fn a_pass_is_what_lies_between_two_pages() {
        let (before, after) = (page(100.0, Some(1e6)), page(100.0, Some(1.5e6)));
        let of = of_pass(before, &[page(300.0, None), page(500.0, None)], after, 2.0, 1.5);
        assert_eq!((of.gpus, of.readings, of.power_w), (2, 2, Some(Gauge { mean: 800.0, max: 1000.0 })));
        assert_eq!((of.utilization.unwrap().mean, of.memory_bytes.unwrap().max), (0.5, 2147483648.0));
        // 1,000 J in two seconds are 750 in one and a half.
        assert_eq!(of.energy_j, Some(750.0));
        // Without a counter, or with one that was started anew, by the power that was read.
        let none = page(1.0, None);
        for (before, after) in [(none, none), (after, before), (before, before), (none, after)] {
            assert_eq!(of_pass(before, &[page(300.0, None)], after, 2.0, 1.5).energy_j, Some(900.0));
        }
        assert_eq!(of_pass(page(1.0, None), &[], page(1.0, None), 2.0, 1.5).energy_j, None);
        assert_eq!(GpuReading::of(&Page::parse("process_cpu_seconds_total 8\n").unwrap()), None);
    }
}
