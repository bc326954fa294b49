//! Five prompts of a ShareGPT file, chosen as the Python tools choose them, and sent:
//! `cargo run --example sample -- http://127.0.0.1:8000 MODEL sharegpt.json tokenizer.json`

use std::sync::Arc;

use tachometer::{
    client::Client,
    dataset::{Policy, Sampler, ShareGpt, Tokenizer},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, model, dataset, tokenizer] = arguments.as_slice() else {
        return Err("give a URL, a model, a ShareGPT file and a tokenizer.json".into());
    };
    let tokenizer = Arc::new(Tokenizer::load(tokenizer)?);
    let sampler = Sampler::new(ShareGpt::file(dataset), tokenizer, Policy::FilterThenSample)?;
    let mut client = Client::connect(url, model).await?;
    for prompt in sampler.draw(0, 5)? {
        let record = client.send(&prompt).await;
        let first_ms = record.ttft_s().unwrap_or_default() * 1e3;
        record.outcome?;
        println!("{} prompt tokens, first token after {first_ms:.1} ms", prompt.prompt_tokens);
    }
    Ok(())
}
