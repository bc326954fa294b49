//! What servers call what they count: a row a server.

use super::page::Page;

/// The names of one server. Of several for one thing, the first one that is there counts: older versions have others.
pub struct Names {
    /// What it is called in reports.
    pub server: &'static str,
    /// Requests that run.
    running: &'static [&'static str],
    /// Requests that wait.
    waiting: &'static [&'static str],
    /// How full the key-value cache is, as a share.
    kv_use: &'static [&'static str],
    /// Tokens of prompts.
    prompt_tokens: &'static [&'static str],
    /// Those of them that came from the cache.
    cached_tokens: &'static [&'static str],
    /// Whether the former counts only those that did not.
    excludes_cached: bool,
    /// Tokens that were generated.
    generated_tokens: &'static [&'static str],
    /// Requests that lost their place to others.
    preemptions: &'static [&'static str],
    /// Histogram of the time to first token, without `_sum` and `_count`.
    ttft: &'static [&'static str],
}

static SERVERS: &[Names] = &[
    Names {
        server: "vllm",
        running: &["vllm:num_requests_running"],
        waiting: &["vllm:num_requests_waiting"],
        kv_use: &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"],
        prompt_tokens: &["vllm:prompt_tokens_total"],
        cached_tokens: &["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"],
        excludes_cached: false,
        generated_tokens: &["vllm:generation_tokens_total"],
        preemptions: &["vllm:num_preemptions_total"],
        ttft: &["vllm:time_to_first_token_seconds"],
    },
    Names {
        server: "sglang",
        running: &["sglang:num_running_reqs"],
        waiting: &["sglang:num_queue_reqs"],
        kv_use: &["sglang:token_usage"],
        prompt_tokens: &["sglang:prompt_tokens_total"],
        cached_tokens: &["sglang:cached_tokens_total"],
        excludes_cached: false,
        generated_tokens: &["sglang:generation_tokens_total"],
        preemptions: &["sglang:num_retracted_requests_total"],
        ttft: &["sglang:time_to_first_token_seconds"],
    },
    Names {
        server: "lmdeploy",
        running: &["lmdeploy:num_requests_running"],
        waiting: &["lmdeploy:num_requests_waiting"],
        kv_use: &["lmdeploy:gpu_cache_usage_perc"],
        prompt_tokens: &["lmdeploy:prompt_tokens_total"],
        cached_tokens: &["lmdeploy:cached_tokens_total"],
        excludes_cached: false,
        generated_tokens: &["lmdeploy:generation_tokens_total"],
        preemptions: &[],
        ttft: &["lmdeploy:time_to_first_token_seconds"],
    },
    Names {
        server: "llama.cpp",
        running: &["llamacpp:requests_processing"],
        waiting: &["llamacpp:requests_deferred"],
        kv_use: &["llamacpp:kv_cache_usage_ratio"],
        prompt_tokens: &["llamacpp:prompt_tokens_total"],
        cached_tokens: &["llamacpp:prompt_tokens_cached_total"],
        excludes_cached: true,
        generated_tokens: &["llamacpp:tokens_predicted_total"],
        preemptions: &[],
        ttft: &[],
    },
    Names {
        server: "tgi",
        running: &["tgi_batch_current_size"],
        waiting: &["tgi_queue_size"],
        kv_use: &[],
        prompt_tokens: &["tgi_request_input_length_sum"],
        cached_tokens: &[],
        excludes_cached: false,
        generated_tokens: &["tgi_request_generated_tokens_sum"],
        preemptions: &[],
        ttft: &[],
    },
    Names {
        server: "tensorrt-llm",
        running: &["trtllm_num_requests_running"],
        waiting: &["trtllm_num_requests_waiting"],
        kv_use: &["trtllm_kv_cache_utilization"],
        prompt_tokens: &["trtllm_prompt_tokens_total"],
        cached_tokens: &[],
        excludes_cached: false,
        generated_tokens: &["trtllm_generation_tokens_total"],
        preemptions: &[],
        ttft: &["trtllm_time_to_first_token_seconds"],
    },
    Names {
        server: "dynamo",
        running: &["dynamo_frontend_inflight_requests"],
        waiting: &["dynamo_frontend_queued_requests"],
        kv_use: &[],
        prompt_tokens: &["dynamo_frontend_input_sequence_tokens_sum"],
        cached_tokens: &[],
        excludes_cached: false,
        generated_tokens: &["dynamo_frontend_output_tokens_total", "dynamo_frontend_output_sequence_tokens_sum"],
        preemptions: &[],
        ttft: &["dynamo_frontend_time_to_first_token_seconds"],
    },
    Names {
        server: "litellm",
        running: &["litellm_in_flight_requests"],
        waiting: &[],
        kv_use: &[],
        prompt_tokens: &["litellm_input_tokens_metric_total"],
        cached_tokens: &["litellm_input_cached_tokens_metric_total"],
        excludes_cached: false,
        generated_tokens: &["litellm_output_tokens_metric_total"],
        preemptions: &[],
        ttft: &["litellm_llm_api_time_to_first_token_metric"],
    },
    Names {
        server: "tachometer's engine",
        running: &["engine_requests_running"],
        waiting: &["engine_requests_waiting"],
        kv_use: &[],
        prompt_tokens: &["engine_prompt_tokens_total"],
        cached_tokens: &["engine_prompt_tokens_cached_total"],
        excludes_cached: false,
        generated_tokens: &["engine_tokens_generated_total"],
        preemptions: &[],
        ttft: &[],
    },
];

/// What a page says at one moment; nothing of what it has no name for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    pub running: Option<f64>,
    pub waiting: Option<f64>,
    pub kv_use: Option<f64>,
    pub prompt_tokens: Option<f64>,
    pub cached_tokens: Option<f64>,
    pub generated_tokens: Option<f64>,
    pub preemptions: Option<f64>,
    /// Sum in seconds, and number.
    pub ttft: Option<(f64, f64)>,
}

/// The row of the server whose page this is: the first one of which it counts generated tokens, or prompts' tokens.
pub fn names_of(page: &Page) -> Option<&'static Names> {
    SERVERS.iter().find(|names| {
        let reading = names.read(page);
        reading.generated_tokens.or(reading.prompt_tokens).is_some()
    })
}

impl Names {
    /// What a page says.
    pub fn read(&self, page: &Page) -> Reading {
        let sum = |names: &[&str]| names.iter().find_map(|name| page.sum(name));
        let cached_tokens = sum(self.cached_tokens);
        let more = if self.excludes_cached { cached_tokens.unwrap_or(0.0) } else { 0.0 };
        let ttft = |name: &&str| Some((page.sum(&format!("{name}_sum"))?, page.sum(&format!("{name}_count"))?));
        Reading {
            running: sum(self.running),
            waiting: sum(self.waiting),
            kv_use: self.kv_use.iter().find_map(|name| page.most(name)),
            prompt_tokens: sum(self.prompt_tokens).map(|tokens| tokens + more),
            cached_tokens,
            generated_tokens: sum(self.generated_tokens),
            preemptions: sum(self.preemptions),
            ttft: self.ttft.iter().find_map(ttft),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (&'static str, Reading) {
        let page = Page::parse(text).unwrap();
        let names = names_of(&page).unwrap();
        (names.server, names.read(&page))
    }

    /// Pages of real servers, after four long requests.
    #[test]
    fn pages_of_real_servers_are_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/metrics");
        let page = |name: &str| read(&std::fs::read_to_string(format!("{folder}/{name}.txt")).unwrap());
        let (server, vllm) = page("vllm");
        assert_eq!((server, vllm.prompt_tokens, vllm.generated_tokens), ("vllm", Some(380.0), Some(2000.0)));
        assert_eq!((vllm.running, vllm.waiting, vllm.kv_use), (Some(0.0), Some(0.0), Some(0.0)));
        assert_eq!((vllm.cached_tokens, vllm.preemptions, vllm.ttft.unwrap().1), (Some(0.0), Some(0.0), 4.0));
        let (server, lmdeploy) = page("lmdeploy");
        assert_eq!((server, lmdeploy.prompt_tokens, lmdeploy.generated_tokens), ("lmdeploy", Some(380.0), Some(600.0)));
        let (server, llamacpp) = page("llamacpp");
        assert_eq!(
            (server, llamacpp.prompt_tokens, llamacpp.generated_tokens),
            ("llama.cpp", Some(380.0), Some(240.0))
        );
        assert_eq!((llamacpp.ttft, llamacpp.kv_use), (None, None));
    }

    #[test]
    fn older_names_count_and_what_is_evaluated_is_not_all() {
        let (_, vllm) = read(
            "vllm:generation_tokens_total 5\nvllm:gpu_cache_usage_perc{engine=\"0\"} 0.25\nvllm:gpu_cache_usage_perc{engine=\"1\"} 0.5\n",
        );
        assert_eq!(vllm.kv_use, Some(0.5));
        let (_, llamacpp) = read("llamacpp:prompt_tokens_total 10\nllamacpp:prompt_tokens_cached_total 7\n");
        assert_eq!((llamacpp.prompt_tokens, llamacpp.cached_tokens), (Some(17.0), Some(7.0)));
        assert!(names_of(&Page::parse("process_cpu_seconds_total 8\n").unwrap()).is_none());
    }
}
