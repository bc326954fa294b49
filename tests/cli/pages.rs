//! Pages that are drawn from what is kept, and the history of many runs.

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::{
    history::{TINY, run},
    package::Package,
};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("pages/changes_of_level_are_marked", levels),
        Trial::test("pages/are_drawn_once_more_from_files", report_only),
        Trial::test("pages/what_cannot_be_drawn_is_said", nothing),
    ]
}

/// A run, and a history of 40 such in which the rpm falls by a tenth in the 21st.
fn long_history() -> Result<Package, Failed> {
    let package = Package::new("");
    run(&package, &[]).expect(0)?;
    let path = package.path("target/tachometer/history.jsonl");
    let line = std::fs::read_to_string(&path)?.lines().next().unwrap().to_owned();
    let of = |i: usize| -> Result<String, Failed> {
        let mut run: Value = serde_json::from_str(&line)?;
        let level = if i < 20 { 1000.0 } else { 900.0 };
        let rpm = level * (1.0 + 0.001 * (i * 7 % 5) as f64);
        for (key, value) in [("point", rpm), ("lower", 0.98 * rpm), ("upper", 1.02 * rpm)] {
            run["estimates"]["rpm"][key] = value.into();
        }
        run["started_at"] = format!("2026-{:02}-{:02}T00:00:00Z", 1 + i / 20, 1 + i % 20).into();
        run["commit"] = serde_json::json!({"sha": format!("{i:08x}{:032x}", 0), "dirty": false, "branch": "main"});
        Ok(run.to_string() + "\n")
    };
    let text: Result<String, Failed> = (0..40).map(of).collect();
    std::fs::write(path, text?)?;
    Ok(package)
}

fn levels() -> Result<(), Failed> {
    let package = long_history()?;
    let outcome = run(&package, &["--show-history=rpm"]);
    outcome.expect(0)?;
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let marked = lines.iter().position(|line| line.starts_with("  -- the level changes: 1002.0 before, 901.8"));
    let marked = marked.ok_or_else(|| outcome.stdout.clone())?;
    assert!(lines[marked].ends_with("-10.0% (p < 0.0001)"), "{}", lines[marked]);
    assert!(lines[marked + 1].contains("2026-02-01"), "{}", lines[marked + 1]);
    assert_eq!(lines.iter().filter(|line| line.contains("the level changes")).count(), 1, "{}", outcome.stdout);

    let folder = package.path("otava");
    let outcome = run(&package, &["--history-csv", &folder.display().to_string()]);
    outcome.expect(0)?;
    let csv = std::fs::read_to_string(folder.join("sharegpt-c2.csv"))?;
    let mut rows = csv.lines();
    assert!(rows.next().unwrap().starts_with("time,commit,branch,output_tokens_per_s,ttft_p50,rpm,"), "{csv}");
    let first = rows.next().unwrap();
    assert!(first.starts_with("2026-01-01T00:00:00Z,0000000000000000000000000000000000000000,main,"), "{csv}");
    assert!(first.contains(",1000,") && rows.count() == 39, "{csv}");
    let yaml = std::fs::read_to_string(folder.join("otava.yaml"))?;
    for part in [
        "\"sharegpt-c2\":\n    type: csv\n    file: \"sharegpt-c2.csv\"",
        "\"ttft_p50\", direction: -1",
        "\"rpm\", direction: 1",
    ] {
        assert!(yaml.contains(part), "{part} is not in {yaml}");
    }
    Ok(())
}

fn report_only() -> Result<(), Failed> {
    let package = long_history()?;
    let report = package.path("target/tachometer/report");
    let own = package.path("target/tachometer/sharegpt/c2/report");
    let read = |file: &str| std::fs::read_to_string(report.join(file));
    let (page, figures) = (read("index.html")?, read("figures.json")?);
    std::fs::remove_dir_all(&report)?;
    std::fs::remove_file(own.join("index.html"))?;
    let outcome = run(&package, &["--report-only"]);
    outcome.expect(0)?;
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    // The last pass too, of which report.json says nothing.
    assert_eq!((read("index.html")?, read("figures.json")?), (page, figures));
    assert!(own.join("index.html").exists());
    let overview = read("history/index.html")?;
    assert!(
        overview.contains("rpm -10.0% since 00000014, 2026-02-01") && overview.contains("href=\"sharegpt-c2.html\"")
    );
    let history = read("history/sharegpt-c2.html")?;
    for part in ["<line class=\"step\"", "-10.0% since 00000014, 2026-02-01", "href=\"commits/000000140000.html\""] {
        assert!(history.contains(part), "{part}");
    }
    let figures: Value = serde_json::from_str(&read("history/sharegpt-c2.json")?)?;
    let rpm = figures.as_array().unwrap().iter().find(|figure| figure["name"] == "sharegpt/c2: rpm").unwrap();
    assert_eq!(rpm["series"][0]["points"].as_array().unwrap().len(), 40);
    assert_eq!((rpm["marks"][0][0].as_f64(), rpm["series"][0]["points"][20]["y"].as_f64()), (Some(21.0), Some(900.0)));
    assert!(read("history/commits/000000140000.html")?.contains("href=\"../sharegpt-c2.html\""));
    Ok(())
}

fn nothing() -> Result<(), Failed> {
    let package = Package::new("");
    let outcome = run(&package, &["--report-only"]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("has no run of the selected benchmarks: measure them first"), "{}", outcome.stderr);
    let outcome = run(&package, &["--history-csv", "x"]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("has no run of the selected benchmarks: measure them first"), "{}", outcome.stderr);
    let outcome = package.run(&[&TINY[..], &["--report-only", "--noplot"]].concat(), &[]);
    outcome.expect(2)
}
