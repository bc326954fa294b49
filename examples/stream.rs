//! One prompt, streamed: `cargo run --example stream -- http://127.0.0.1:8000 MODEL "Name three rivers."`

use std::io::{Write, stdout};

use tachometer::{client::Client, dataset::Prompt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, model, text] = arguments.as_slice() else { return Err("give a URL, a model and a prompt".into()) };
    let mut client = Client::connect(url, model).await?;
    let record = client
        .send_with(&Prompt::new(text, 256), |event| {
            print!("{}", event.text);
            // A closed pipe is no reason to stop.
            _ = stdout().flush();
        })
        .await;
    record.outcome.clone()?;
    let (first_s, all_s) = (record.ttft_s().unwrap_or_default(), record.e2e_s().unwrap_or_default());
    println!("\n\nfirst token after {:.1} ms, all after {:.1} ms", first_s * 1e3, all_s * 1e3);
    Ok(())
}
