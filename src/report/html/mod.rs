//! Pages for people: one of the run, and one of each benchmark, each a file that needs no other.

mod document;
mod figure;
mod figures;
mod history;
mod page;
mod plot;
mod view;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use self::{
    figure::Figure,
    figures::{Shown, of_benchmark, of_loads},
    history::pages,
    page::{MOST_WHOLE, Workload, page},
    view::View,
};
use super::{output::Output, sink::*};
use crate::{files::write_whole, run::Report};

struct Html {
    output: Output,
    folder: PathBuf,
    /// Of the last pass of each benchmark, with its number.
    views: HashMap<String, (usize, View)>,
    baselines: HashMap<String, Report>,
    partial: Vec<Report>,
    has_history: bool,
}

/// `report/index.html`, and one for each benchmark, where there are to be plots.
pub(super) fn sink(outputs: &Outputs) -> Option<Box<dyn Sink>> {
    let html = |folder: PathBuf| -> Box<dyn Sink> {
        Box::new(Html {
            output: outputs.output,
            folder,
            views: HashMap::new(),
            baselines: HashMap::new(),
            partial: Vec::new(),
            has_history: false,
        })
    };
    outputs.pages.clone().map(html)
}

impl Sink for Html {
    fn pass(&mut self, pass: &PassSent) -> Result<(), SinkError> {
        // Two servers that take turns have a view each.
        if let Some(view) = View::of(pass.records, pass.gauges) {
            self.views.insert(key(pass.benchmark, pass.identity), (pass.number, view));
        }
        Ok(())
    }

    fn benchmark(&mut self, measured: &Measured) -> Result<(), SinkError> {
        // Beside one that asked another question nothing is to be seen; what a search came to is another load each time.
        let is_alike = measured.report.comparison.as_ref().is_some_and(|comparison| !comparison.another_question);
        if let Some(baseline) = measured.baseline.filter(|_| is_alike) {
            self.baselines.insert(measured.report.id.clone(), baseline.clone());
        }
        Ok(())
    }

    fn partial(&mut self, report: &Report) -> Result<(), SinkError> {
        self.partial.push(report.clone());
        Ok(())
    }

    fn history(&mut self, history: &AllRuns) -> Result<(), SinkError> {
        let folder = self.folder.join("report/history");
        let write = |file: history::File| -> Result<(), SinkError> {
            let path = folder.join(&file.name);
            // Most commits are as they were, and there can be many.
            if std::fs::read(&path).is_ok_and(|there| there == file.text.as_bytes()) {
                return Ok(());
            }
            if !file.figures.is_empty() {
                write_numbers(&path, &file.figures.iter().collect::<Vec<_>>())?;
            }
            Ok(write_whole(&path, file.text.as_bytes())?)
        };
        let written: Vec<Result<(), SinkError>> = pages(history.runs, history.trends).into_iter().map(write).collect();
        self.has_history = true;
        written.into_iter().collect()
    }

    fn end(&mut self, reports: &[Report]) -> Result<(), SinkError> {
        let mut written = Vec::new();
        let views: Vec<Option<View>> = reports
            .iter()
            .chain(&self.partial)
            .map(|report| {
                let server = report.server.identity();
                // What a search has found is one of its loads.
                let load = format!("{}/{}", report.workload.name, report.load.shape().name());
                let view = self.views.get(&key(&report.id, server)).or_else(|| self.views.get(&key(&load, server)));
                // One that failed whole is none of the report's.
                let view = view.filter(|(number, _)| number + 1 == report.passes.len()).map(|(_, view)| view.clone());
                let place = self.folder.join(&report.id).join("report").join(LAST_PASS);
                match view {
                    Some(view) => {
                        let kept = Kept { run_id: report.run_id.clone(), view };
                        let json = serde_json::to_vec(&kept).unwrap_or_default();
                        written.push(write_whole(&place, &json).map_err(SinkError::from));
                        Some(kept.view)
                    }
                    // Of a run that is drawn once more.
                    None => {
                        let kept: Kept = serde_json::from_slice(&std::fs::read(place).ok()?).ok()?;
                        (!report.run_id.is_empty() && kept.run_id == report.run_id).then_some(kept.view)
                    }
                }
            })
            .collect();
        let shown: Vec<Shown> = reports
            .iter()
            .chain(&self.partial)
            .zip(&views)
            .map(|(report, view)| Shown { report, baseline: self.baselines.get(&report.id), view: view.as_ref() })
            .collect();
        if shown.is_empty() {
            return written.into_iter().collect();
        }
        let all: Vec<&Shown> = shown.iter().collect();
        let folder = self.folder.join("report");
        let history = |from: &str| self.has_history.then(|| format!("{from}history/index.html"));
        written.push(write_page(&folder, "tachometer: this run", &all, history("").as_deref()));
        self.output.status(&format!("Plots: {}", folder.join("index.html").display()));
        for shown in &all {
            let id = &shown.report.id;
            let up = "../".repeat(id.split('/').count() + 1);
            let history = history(&format!("{up}report/"));
            written.push(write_page(&self.folder.join(id).join("report"), id, &[*shown], history.as_deref()));
        }
        // One that can't be written costs none of the others.
        written.into_iter().collect()
    }
}

/// The last pass of a benchmark, for whoever draws it later: report.json has nothing of single requests.
#[derive(Serialize, Deserialize)]
struct Kept {
    run_id: String,
    view: View,
}

const LAST_PASS: &str = "last_pass.json";

fn key(benchmark: &str, server: &str) -> String {
    format!("{benchmark} {server}")
}

fn write_page(folder: &Path, title: &str, shown_on_page: &[&Shown], history: Option<&str>) -> Result<(), SinkError> {
    let mut workloads: Vec<Workload> = Vec::new();
    for shown in shown_on_page {
        let name = shown.report.workload.name.as_str();
        // Of many, each has a page of its own.
        let own = if shown_on_page.len() <= MOST_WHOLE { of_benchmark(shown) } else { Vec::new() };
        let benchmark = (*shown, own);
        match workloads.iter_mut().find(|workload| workload.name == name) {
            Some(workload) => workload.benchmarks.push(benchmark),
            None => workloads.push(Workload { name, figures: Vec::new(), benchmarks: vec![benchmark] }),
        }
    }
    for workload in &mut workloads {
        let loads: Vec<&Shown> = workload.benchmarks.iter().map(|(shown, _)| *shown).collect();
        workload.figures = of_loads(workload.name, &loads);
    }
    let figures: Vec<&Figure> = workloads
        .iter()
        .flat_map(|workload| workload.figures.iter().chain(workload.benchmarks.iter().flat_map(|(_, figures)| figures)))
        .collect();
    write_whole(&folder.join("index.html"), page(title, &workloads, history).as_bytes())?;
    write_numbers(&folder.join("figures"), &figures)
}

/// The numbers of figures as JSON and as CSV.
fn write_numbers(path: &Path, figures: &[&Figure]) -> Result<(), SinkError> {
    write_whole(&path.with_extension("json"), &serde_json::to_vec(figures).unwrap_or_default())?;
    let mut csv = csv::Writer::from_writer(Vec::new());
    // Writing to memory can't fail.
    _ = csv.write_record(["figure", "series", "x", "y", "lower", "upper", "label"]);
    figures.iter().flat_map(|figure| figure.rows()).for_each(|row| _ = csv.write_record(row));
    write_whole(&path.with_extension("csv"), &csv.into_inner().unwrap_or_default())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::run::samples::{comparison, report, set};

    fn estimate(point: f64) -> Value {
        json!({"point": point, "lower": 0.9 * point, "upper": 1.1 * point, "confidence_level": 0.95, "unit": "s", "better": "lower"})
    }

    fn at(clients: usize, edit: impl Fn(&mut Value)) -> Report {
        report(|r| {
            r["id"] = format!("w/c{clients}").into();
            r["load"]["concurrency"] = clients.into();
            let estimates = [("output_tokens_per_s", 100.0), ("rpm", 60.0), ("ttft_p50", 0.2), ("tpot_p50", 0.01)];
            r["estimates"] =
                estimates.map(|(name, of)| (name.to_owned(), estimate(of * clients as f64))).into_iter().collect();
            let histogram = json!({"first": -40, "counts": [3, 0, 1]});
            set(r, "histograms", json!({"ttft_s": histogram, "e2e_s": histogram}));
            r["comparison"] = comparison(&[]);
            r["comparison"]["baseline"] = "last run".into();
            edit(r);
        })
    }

    fn written(reports: &[Report], baseline: Option<&Report>) -> (tempfile::TempDir, String, Vec<Value>) {
        let folder = tempfile::tempdir().unwrap();
        let outputs = Outputs { pages: Some(folder.path().to_owned()), ..Outputs::default() };
        let mut sink = sink(&outputs).unwrap();
        for report in reports {
            sink.benchmark(&Measured { report, baseline, last_run: None }).unwrap();
        }
        sink.end(reports).unwrap();
        let read = |file: &str| std::fs::read_to_string(folder.path().join("report").join(file)).unwrap();
        let (page, figures) = (read("index.html"), serde_json::from_str(&read("figures.json")).unwrap());
        (folder, page, figures)
    }

    /// What is drawn is what the report says.
    #[test]
    fn figures_have_the_numbers_of_the_report() {
        let reports = [at(4, |_| ()), at(1, |_| ())];
        let baseline = at(4, |r| r["estimates"]["rpm"]["point"] = 7.0.into());
        let (folder, page, figures) = written(&reports, Some(&baseline));
        let of = |name: &str| figures.iter().find(|figure| figure["name"] == name).unwrap_or_else(|| panic!("{name}"));
        for name in ["output_tokens_per_s", "rpm", "ttft_p50", "tpot_p50"] {
            let series = &of(&format!("{}: {name}", reports[0].workload.name))["series"];
            for (point, report) in series[0]["points"].as_array().unwrap().iter().zip([&reports[1], &reports[0]]) {
                let estimate = &report.estimates[&name.parse().unwrap()];
                assert_eq!(point["x"].as_f64(), report.load.shape().concurrency().map(|clients| clients as f64));
                assert_eq!(point["y"].as_f64(), Some(estimate.point), "{name}");
                assert_eq!((point["ends"][0].as_f64(), point["ends"][1].as_f64()), (estimate.lower, estimate.upper));
            }
            assert_eq!(
                (series[1]["name"].as_str(), name == "rpm"),
                (Some("the baseline"), series[1]["points"][0]["y"] == 7.0)
            );
        }
        // Three passes of four values each, a quarter of them in the last bucket.
        let ttft = of("w/c4: ttft")["series"][0]["points"].as_array().unwrap();
        let shares: Vec<Option<f64>> = ttft.iter().map(|point| point["y"].as_f64()).collect();
        assert_eq!(shares, [0.0, 0.75, 0.75, 1.0].map(Some));
        assert!((ttft[1]["x"].as_f64().unwrap() / 1.02f64.powi(-39) - 1.0).abs() < 1e-3);
        for text in ["href=\"#w-c4\"", "id=\"w-c4\"", "requests/min", "240.00"] {
            assert!(page.contains(text), "{text}");
        }
        let csv = std::fs::read_to_string(folder.path().join("report/figures.csv")).unwrap();
        let points =
            figures.iter().flat_map(|f| f["series"].as_array().unwrap()).map(|s| s["points"].as_array().unwrap().len());
        assert_eq!(csv.lines().count(), 1 + points.sum::<usize>());
        // Each has a page of its own, with its figures.
        let own = std::fs::read_to_string(folder.path().join("w/c1/report/figures.json")).unwrap();
        assert!(own.contains("w/c1: ttft") && !own.contains("w/c4"), "{own}");
    }

    #[test]
    fn a_search_shows_what_it_has_tried() {
        let judged = |point: f64, state: &str| {
            json!({"objective": "ttft_p50 < 300 ms", "state": state, "point": point, "lower": 0.9 * point, "upper": 1.1 * point,
                "limit": 0.3, "unit": "s"})
        };
        let tried = |load: f64, point: f64, state: &str| json!({"load": load, "step": "look", "state": state, "passes": 2, "objectives": [judged(point, state)]});
        let found = report(|r| {
            r["boundary"] = json!({
                "searched": "concurrency", "objectives": ["ttft_p50 < 300 ms"], "precision": 0.05, "highest_met": 4.0, "lowest_missed": 8.0,
                "undecided": [], "not_monotonic": [], "verified": true, "broken": [],
                "points": [tried(4.0, 0.31, "undecided"), tried(8.0, 0.5, "missed"), tried(4.0, 0.2, "met")]
            });
        });
        let (_folder, _, figures) = written(&[found], None);
        let figure = &figures[0];
        let points = |i: usize| figure["series"][i]["points"].clone();
        // The last time counts.
        assert_eq!((figure["series"][0]["name"].as_str(), points(0)[0]["x"].as_f64()), (Some("met"), Some(4.0)));
        assert_eq!((points(0)[0]["y"].as_f64(), points(0).as_array().unwrap().len()), (Some(0.2), 1));
        assert_eq!((figure["series"][1]["name"].as_str(), points(1)[0]["y"].as_f64()), (Some("missed"), Some(0.5)));
        assert_eq!((figure["limits"][0][0].as_f64(), figure["marks"][1][0].as_f64()), (Some(0.3), Some(8.0)));
    }

    /// Of four loads, one is worse than another in both ways.
    #[test]
    fn the_frontier_and_the_knee_are_marked() {
        let load = |clients: usize, throughput: f64, tpot: f64, e2e: f64| {
            at(clients, |r| {
                r["server"]["gpus"] = 2.into();
                for (name, value) in [("output_tokens_per_s", throughput), ("tpot_p50", tpot), ("e2e_p50", e2e)] {
                    r["estimates"][name] = estimate(value);
                }
            })
        };
        let reports = [
            load(1, 100.0, 0.01, 1.0),
            load(2, 200.0, 0.01, 1.0),
            load(4, 390.0, 0.011, 1.1),
            load(8, 380.0, 0.02, 2.0),
        ];
        let (_folder, _, figures) = written(&reports, None);
        let of = |name: &str| figures.iter().find(|f| f["name"].as_str().unwrap().contains(name)).unwrap();
        let frontier = &of("per GPU against each user")["series"][1];
        let points: Vec<f64> =
            frontier["points"].as_array().unwrap().iter().map(|p| p["y"].as_f64().unwrap()).collect();
        assert_eq!((frontier["name"].as_str(), points), (Some("frontier"), vec![100.0, 195.0]));
        assert_eq!(of(": rpm")["marks"][0][0].as_f64(), Some(4.0));
    }

    /// Also where no metric regressed.
    #[test]
    fn what_the_gate_fails_for_is_on_the_page() {
        let failures = json!({"failed": 50, "requests": 1000, "baseline_failed": 0, "baseline_requests": 1000, "p_value": 1e-9,
            "p_value_corrected": 1e-9, "regressed": true});
        let report = at(2, |r| {
            r["comparison"]["comparable"] = false.into();
            r["comparison"]["why_not"] = json!(["too many failed"]);
            r["comparison"]["unmeasured"] = json!(["scrape:x"]);
            r["comparison"]["failures"] = failures.clone();
        });
        let (_folder, page, _) = written(&[report], None);
        for text in
            ["not comparable: too many failed", "more requests failed", "gated, but could not be compared: scrape:x"]
        {
            assert!(page.contains(text), "{text}");
        }
        // What asked another question is no curve to compare with.
        let other = at(2, |r| r["comparison"]["another_question"] = true.into());
        let (_folder, _, figures) = written(std::slice::from_ref(&other), Some(&other));
        assert!(figures.iter().all(|figure| figure["series"].as_array().unwrap().len() == 1));
    }

    #[test]
    fn what_comes_from_outside_is_shown_and_not_run() {
        let foreign = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'\u{202e}\u{1b}[31m</SCRIPT>";
        let report = at(2, |r| {
            r["server"]["model"] = foreign.into();
            r["server"]["url"] = foreign.into();
            r["workload"]["name"] = foreign.into();
            r["host"]["cpu"] = foreign.into();
            r["commit"] = json!({"sha": "0123456789abcdef", "dirty": true, "branch": foreign});
            r["objectives"] = json!([{"objective": foreign, "state": "met", "point": 1.0, "lower": null, "upper": null, "limit": 2.0, "unit": "s"}]);
            set(r, "failures", json!({"reset": 1}));
            set(r, "failure_examples", json!({"reset": foreign}));
        });
        let other = at(8, |r| r["workload"]["name"] = foreign.into());
        let (_folder, page, _) = written(&[report, other], None);
        let lower = page.to_lowercase();
        // The page's own two scripts, and nobody else's.
        assert_eq!((lower.matches("<script").count(), lower.matches("</script").count()), (2, 2));
        assert!(!lower.contains("<img") && !page.contains(['\u{202e}', '\u{1b}']), "{page}");
        assert!(page.contains("&lt;img src=x onerror=alert(2)&gt;&quot;"));
    }

    #[test]
    fn many_benchmarks_are_a_small_page() {
        let long = json!({"first": -600, "counts": vec![1000; 700]});
        let edit =
            |r: &mut Value| set(r, "histograms", json!({"ttft_s": long, "itl_s": long, "tpot_s": long, "e2e_s": long}));
        let of = |n: usize| -> Vec<Report> { (1..=n).map(|clients| at(clients, edit)).collect() };
        for n in [MOST_WHOLE, 50] {
            let reports = of(n);
            let (folder, page, _) = written(&reports, reports.first());
            assert!(page.len() < 2_000_000, "{n}: {}", page.len());
            assert!(folder.path().join(format!("w/c{n}/report/index.html")).exists());
            assert_eq!(page.contains("has a page of its own"), n == 50);
        }
    }
}
