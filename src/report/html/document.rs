//! What all pages have: they stand alone, and nothing in them comes from anywhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figure::Figure;
use crate::text::visible;

/// A page, with the numbers of the figures that are drawn in it.
pub fn document(title: &str, header: &Markup, main: &Markup, figures: &[&Figure]) -> String {
    // Nothing in a script can be told from its end.
    let data = serde_json::to_string(figures).unwrap_or_default().replace('<', "\\u003c");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { (visible(title)) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header { (header) }
                main { (main) }
                footer {
                    p.of {
                        "Made by tachometer " (env!("CARGO_PKG_VERSION")) "."
                        @if !figures.is_empty() { " The numbers of all figures are beside this page, as JSON and as CSV." }
                    }
                }
                script type="application/json" id="figures" { (PreEscaped(data)) }
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    }
    .into_string()
}
