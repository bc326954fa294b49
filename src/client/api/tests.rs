//! What each API is asked, and how its answers are read, in tables.

use std::{collections::BTreeSet, str::FromStr};

use super::Api;
use crate::{
    client::{
        Headers, RequestWriter, Sampling, ServerUrl,
        answer::{Answer, Event},
    },
    dataset::{Message, Prompt},
};

#[test]
fn each_has_a_name_and_says_whose_it_is() {
    let all: Vec<Api> = Api::all().collect();
    let names: Vec<&str> = all.iter().map(|api| api.name()).collect();
    let expected =
        "chat completions responses messages ollama sglang tgi llamacpp lmdeploy embeddings rerank turbomind";
    assert_eq!(names.join(" "), expected);
    assert_eq!(all.iter().map(|api| api.help()).collect::<BTreeSet<_>>().len(), all.len());
    for api in all {
        assert_eq!(
            (api.to_string().parse(), api.to_string(), format!("{api:?}")),
            (Ok(api), api.name().to_owned(), api.to_string())
        );
        assert!(api.help().contains(' ') || api.help().contains('/'), "{api}: {}", api.help());
        // The query is a text too.
        assert_eq!(api.texts(4), if api.name() == "rerank" { 5 } else { 4 }, "{api}");
    }
}

/// The path and the body of a request for seven tokens after a system's message and an answer, sent by client 3, and whether the end of a
/// stream is to have counts.
fn request(sampling: Sampling) -> (String, String, bool) {
    let said = |role: &str, content: &str| Message { role: role.to_owned(), content: content.to_owned() };
    let before = vec![said("system", "S"), said("user", "A"), said("assistant", "B")].into();
    let prompt = Prompt { before, ..Prompt::new("Q", 7) };
    let url = ServerUrl::parse("h:1").unwrap();
    let writer = RequestWriter::new(&url, "m", &sampling, &Headers::default());
    let mut bytes = Vec::new();
    writer.write(&prompt, 3, "id", &mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned(), writer.asks_usage())
}

#[test]
fn requests() {
    for (api, path, body, asks_usage) in [
        (
            "chat",
            "/v1/chat/completions",
            r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"A"},{"role":"assistant","content":"B"},{"role":"user","content":"Q"}],"max_tokens":7,"temperature":0.5,"top_p":0.25,"stream":true,"stream_options":{"include_usage":true},"ignore_eos":true}"#,
            true,
        ),
        (
            "completions",
            "/v1/completions",
            r#"{"model":"m","prompt":"S\nA\nB\nQ","max_tokens":7,"temperature":0.5,"top_p":0.25,"stream":true,"stream_options":{"include_usage":true},"ignore_eos":true}"#,
            true,
        ),
        (
            "responses",
            "/v1/responses",
            r#"{"model":"m","input":[{"role":"system","content":"S","type":"message"},{"role":"user","content":"A","type":"message"},{"role":"assistant","content":[{"type":"output_text","text":"B","annotations":[]}],"type":"message","id":"msg_2","status":"completed"},{"role":"user","content":"Q","type":"message"}],"max_output_tokens":7,"temperature":0.5,"top_p":0.25,"stream":true,"ignore_eos":true}"#,
            true,
        ),
        // The system's words stand beside the messages, and nothing says that an answer is to go on.
        (
            "messages",
            "/v1/messages",
            r#"{"model":"m","messages":[{"role":"user","content":"A"},{"role":"assistant","content":"B"},{"role":"user","content":"Q"}],"max_tokens":7,"temperature":0.5,"top_p":0.25,"stream":true,"system":"S"}"#,
            true,
        ),
        (
            "ollama",
            "/api/chat",
            r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"A"},{"role":"assistant","content":"B"},{"role":"user","content":"Q"}],"stream":true,"options":{"num_predict":7,"temperature":0.5,"top_p":0.25}}"#,
            false,
        ),
        (
            "sglang",
            "/generate",
            r#"{"text":"S\nA\nB\nQ","sampling_params":{"max_new_tokens":7,"temperature":0.5,"top_p":0.25,"ignore_eos":true},"stream":true}"#,
            false,
        ),
        (
            "tgi",
            "/generate_stream",
            r#"{"inputs":"S\nA\nB\nQ","parameters":{"max_new_tokens":7,"do_sample":true,"details":true,"temperature":0.5,"top_p":0.25}}"#,
            false,
        ),
        (
            "llamacpp",
            "/completion",
            r#"{"prompt":"S\nA\nB\nQ","n_predict":7,"temperature":0.5,"top_p":0.25,"stream":true,"ignore_eos":true}"#,
            false,
        ),
        (
            "lmdeploy",
            "/v1/chat/completions",
            r#"{"model":"m","messages":"S\nA\nB\nQ","temperature":0.5,"top_p":0.25,"n":1,"max_tokens":7,"stop":false,"stream":true,"presence_penalty":0.0,"frequency_penalty":0.0,"user":null,"repetition_penalty":1.0,"session_id":3,"ignore_eos":true,"kwargs":{}}"#,
            false,
        ),
        ("embeddings", "/v1/embeddings", r#"{"model":"m","input":["S","A","B","Q"]}"#, false),
        ("rerank", "/v1/rerank", r#"{"model":"m","query":"S","documents":["A","B","Q"]}"#, false),
        (
            "turbomind",
            "/generate",
            r#"{"prompt":"S\nA\nB\nQ","max_tokens":7,"temperature":0.5,"top_p":0.25,"stream":true,"ignore_eos":true}"#,
            false,
        ),
    ] {
        let api = api.parse().unwrap();
        let stream = Sampling { api, stream: true, temperature: 0.5, top_p: 0.25, ..Sampling::default() };
        assert_eq!(request(stream), (path.to_owned(), body.to_owned(), asks_usage));
    }
}

#[test]
fn what_is_left_out_of_requests() {
    let tgi = |temperature, top_p| {
        let sampling = Sampling { api: "tgi".parse().unwrap(), temperature, top_p, ..Sampling::default() };
        let (path, body, _) = request(sampling);
        assert_eq!(path, "/generate");
        body.replace(r#"{"inputs":"S\nA\nB\nQ","parameters":{"max_new_tokens":7,"#, "").replace("}}", "")
    };
    assert_eq!(tgi(0.0, 1.0), r#""do_sample":false,"details":true"#);
    assert_eq!(tgi(0.01, 0.99), r#""do_sample":true,"details":true,"temperature":0.01,"top_p":0.99"#);
    // Counts come with a whole answer anyway.
    let chat = |stream, include_usage| request(Sampling { stream, include_usage, ..Sampling::default() });
    for (stream, include_usage, asks) in [(true, true, true), (true, false, false), (false, true, false)] {
        let (_, body, asks_usage) = chat(stream, include_usage);
        assert_eq!((body.contains("stream_options"), asks_usage), (asks, asks), "{body}");
    }
    // A prompt alone is a text, and not a list of items.
    let url = ServerUrl::parse("h:1").unwrap();
    for (api, expected) in [
        ("responses", r#""input":"Q""#),
        (
            "messages",
            r#""messages":[{"role":"user","content":"Q"}],"max_tokens":7,"temperature":1.0,"top_p":1.0,"stream":false}"#,
        ),
    ] {
        let sampling = Sampling { api: api.parse().unwrap(), ..Sampling::default() };
        let mut bytes = Vec::new();
        let writer = RequestWriter::new(&url, "m", &sampling, &Headers::default());
        writer.write(&Prompt::new("Q", 7), 3, "id", &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn headers_of_an_apis_own() {
    for api in Api::all() {
        let expected: &[_] = if api.name() == "messages" { &[("anthropic-version", "2023-06-01")] } else { &[] };
        assert_eq!(api.dialect().headers(), expected, "{api}");
    }
}

/// What has been said, in a line: text, finish reason, counts (prompt/generated/cached), an error, and whether it is at its end.
fn said(answer: &Answer) -> String {
    let count = |count: Option<u32>| count.map_or("-".to_owned(), |count| count.to_string());
    let usage = answer.usage.map_or("no usage".to_owned(), |usage| {
        [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens].map(count).join("/")
    });
    let ends: Vec<&str> = [(answer.is_finished(), "finished"), (answer.done, "done")]
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name))
        .collect();
    let reason = answer.finish_reason.as_deref().unwrap_or("-");
    let error = answer.error.as_deref().map_or_else(String::new, |error| format!(", error: {error}"));
    format!("{:?}, {reason}, {usage}, {}{error}", answer.text, ends.join(" "))
}

/// The names of what an event carries.
fn flags(event: Event) -> String {
    let Event { role, content, reasoning, tool_call, finish, usage, error, done, known } = event;
    let all = [
        (role, "role"),
        (content, "content"),
        (reasoning, "reasoning"),
        (tool_call, "tool_call"),
        (finish, "finish"),
        (usage, "usage"),
        (error, "error"),
        (done, "done"),
        (known, "known"),
    ];
    all.into_iter().filter_map(|(is, name)| is.then_some(name)).collect::<Vec<_>>().join(" ")
}

#[test]
fn whole_answers() {
    for (api, body, expected) in [
        (
            "messages",
            r#"{"type":"message","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"a"},{"type":"tool_use","input":{"x":1}}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":5,"cache_read_input_tokens":20,"cache_creation_input_tokens":100}}"#,
            r#"content reasoning tool_call finish usage known: "hma{\"x\":1}", end_turn, 123/5/20, done"#,
        ),
        (
            "messages",
            r#"{"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"max_tokens","usage":{"input_tokens":3,"output_tokens":5}}"#,
            r#"content finish usage known: "a", max_tokens, 3/5/-, done"#,
        ),
        (
            "messages",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            r#"error: "", -, no usage, done, error: Overloaded"#,
        ),
        ("messages", r#"{"type":"other"}"#, r#": "", -, no usage, done"#),
        (
            "responses",
            r#"{"object":"response","status":"completed","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"content":[{"text":" so"}]},{"type":"message","content":[{"type":"output_text","text":"a"}]},{"type":"function_call","arguments":"{}"}],"usage":{"input_tokens":3,"output_tokens":5,"input_tokens_details":{"cached_tokens":2}}}"#,
            r#"content reasoning tool_call finish usage known: "hm soa{}", completed, 3/5/2, done"#,
        ),
        (
            "responses",
            r#"{"object":"response","status":"completed","output":[{"type":"message","content":[{"type":"refusal","refusal":"no"}]}]}"#,
            r#"content finish known: "no", completed, no usage, done"#,
        ),
        (
            "responses",
            r#"{"object":"response","status":"completed","output":[{"type":"message","content":[{"text":"a","refusal":"no"}]}]}"#,
            r#"content finish known: "ano", completed, no usage, done"#,
        ),
        (
            "responses",
            r#"{"object":"response","status":"completed","output":[{"type":"reasoning","content":[{"text":"hm"}]},{"type":"message","content":[{"text":""}]}]}"#,
            r#"reasoning finish known: "hm", completed, no usage, done"#,
        ),
        (
            "responses",
            r#"{"object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"message","content":[{"text":"a"}]}]}"#,
            r#"content finish known: "a", max_output_tokens, no usage, done"#,
        ),
        (
            "responses",
            r#"{"object":"response","status":"completed","incomplete_details":{"reason":"x"},"output":[]}"#,
            r#"finish known: "", completed, no usage, done"#,
        ),
        ("responses", r#"{"object":"response","status":"in_progress","output":[]}"#, r#"known: "", -, no usage, done"#),
        (
            "responses",
            r#"{"object":"response","status":"failed","error":{"message":"out of memory"},"output":[]}"#,
            r#"finish error known: "", failed, no usage, done, error: out of memory"#,
        ),
        ("responses", r#"{"type":"error","message":"bad"}"#, r#"error: "", -, no usage, done, error: bad"#),
        ("responses", r#"{"object":"error","message":"bad"}"#, r#"error: "", -, no usage, done, error: bad"#),
        ("responses", r#"{"object":"list"}"#, r#": "", -, no usage, done"#),
        (
            "ollama",
            r#"{"message":{"role":"assistant","thinking":"hm","content":"a","tool_calls":[{"function":{"arguments":{"x":1}}}]},"done":true,"done_reason":"length","prompt_eval_count":3,"eval_count":5}"#,
            r#"role content reasoning tool_call finish usage known: "hma{\"x\":1}", length, 3/5/-, finished done"#,
        ),
        (
            "ollama",
            r#"{"response":"a","done":true,"done_reason":""}"#,
            r#"content finish known: "a", stop, no usage, finished done"#,
        ),
        ("ollama", r#"{"error":"no such model"}"#, r#"error: "", -, no usage, , error: no such model"#),
        (
            "sglang",
            r#"{"text":"a","meta_info":{"finish_reason":{"type":"length"},"prompt_tokens":3,"completion_tokens":5,"cached_tokens":2}}"#,
            r#"content finish usage known: "a", length, 3/5/2, finished done"#,
        ),
        (
            "sglang",
            r#"[{"index":0,"text":"a","meta_info":{"finish_reason":{"type":"stop"},"prompt_tokens":3,"completion_tokens":5}},{"index":1,"text":"b","meta_info":{"finish_reason":{"type":"length"},"prompt_tokens":3,"completion_tokens":4}}]"#,
            r#"content finish usage known: "ab", length, 6/9/-, finished done"#,
        ),
        ("sglang", r#"{"text":"a"}"#, r#"content: "a", -, no usage, done"#),
        (
            "tgi",
            r#"{"generated_text":"a","details":{"finish_reason":"length","generated_tokens":5,"input_length":3}}"#,
            r#"content finish usage known: "a", length, 3/5/-, done"#,
        ),
        (
            "tgi",
            r#"{"error":"overloaded","error_type":"overloaded"}"#,
            r#"error: "", -, no usage, , error: overloaded"#,
        ),
        (
            "llamacpp",
            r#"{"content":"a","stop":true,"stop_type":"limit","tokens_predicted":5,"tokens_evaluated":3,"timings":{"cache_n":2}}"#,
            r#"content finish usage known: "a", limit, 3/5/2, finished done"#,
        ),
        (
            "llamacpp",
            r#" [{"index":0,"content":"a","stop":true,"stop_type":"eos"},{"index":1,"content":"b","stop":true,"stop_type":""}]"#,
            r#"content finish known: "ab", stop, no usage, finished done"#,
        ),
        (
            "turbomind",
            r#"{"text":"a","meta_info":{"finish_reason":{"type":"length"},"prompt_tokens":3,"completion_tokens":5}}"#,
            r#"content finish usage known: "a", length, 3/5/-, finished done"#,
        ),
        (
            "embeddings",
            r#"{"object":"list","data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":3,"total_tokens":4}}"#,
            r#"usage known: "", -, 3/-/-, done"#,
        ),
        ("embeddings", r#"{"object":"list","data":[],"results":[1]}"#, r#": "", -, no usage, done"#),
        ("embeddings", r#"{"data":[1],"usage":{"total_tokens":4}}"#, r#"usage known: "", -, 4/-/-, done"#),
        (
            "rerank",
            r#"{"results":[{"index":0,"relevance_score":0.5}],"usage":{"total_tokens":4}}"#,
            r#"usage known: "", -, 4/-/-, done"#,
        ),
        ("rerank", r#"{"object":"error","message":"bad"}"#, r#"error: "", -, no usage, done, error: bad"#),
    ] {
        let (parsed, mut answer): (Api, _) = (api.parse().unwrap(), Answer::default());
        let event = parsed.take_body(&mut answer, body.as_bytes()).unwrap();
        assert_eq!(format!("{}: {}", flags(event), said(&answer)), expected, "{api}: {body}");
    }
}

/// Of a stream: each event's name and data, what it carries, and what has been said by then.
type Stream<'a> = (&'a str, &'a [(&'a str, &'a str, &'a str)]);

#[test]
fn streams() {
    let table: &[Stream] = &[
        (
            "messages",
            &[
                (
                    "message_start",
                    r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1,"cache_read_input_tokens":20}}}"#,
                    r#"role usage known: "", -, 23/-/20, "#,
                ),
                (
                    "content_block_start",
                    r#"{"type":"content_block_start","content_block":{"type":"thinking","thinking":""}}"#,
                    r#"known: "", -, 23/-/20, "#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"hm"}}"#,
                    r#"reasoning known: "hm", -, 23/-/20, "#,
                ),
                ("content_block_stop", r#"{"type":"content_block_stop"}"#, r#"known: "hm", -, 23/-/20, "#),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
                    r#"content known: "hma", -, 23/-/20, "#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
                    r#"tool_call known: "hma{}", -, 23/-/20, "#,
                ),
                ("ping", r#"{"type":"ping"}"#, r#": "hma{}", -, 23/-/20, "#),
                (
                    "message_delta",
                    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#,
                    r#"finish usage known: "hma{}", end_turn, 23/5/20, finished"#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","delta":{"text":""}}"#,
                    r#"known: "hma{}", end_turn, 23/5/20, finished"#,
                ),
                (
                    "message_stop",
                    r#"{"type":"message_stop"}"#,
                    r#"done known: "hma{}", end_turn, 23/5/20, finished done"#,
                ),
            ],
        ),
        (
            "messages",
            &[
                (
                    "message_delta",
                    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
                    r#"finish known: "", end_turn, no usage, "#,
                ),
                (
                    "content_block_delta",
                    r#"{"type":"content_block_delta","delta":{"text":"a"}}"#,
                    r#"content known: "a", end_turn, no usage, "#,
                ),
                (
                    "",
                    r#"{"type":"error","error":{"message":"Overloaded"}}"#,
                    r#"error: "a", end_turn, no usage, , error: Overloaded"#,
                ),
            ],
        ),
        (
            "responses",
            &[
                (
                    "response.created",
                    r#"{"type":"response.created","response":{"status":"in_progress"}}"#,
                    r#"role known: "", -, no usage, "#,
                ),
                (
                    "",
                    r#"{"type":"response.reasoning_summary_text.delta","delta":"hm"}"#,
                    r#"reasoning known: "hm", -, no usage, "#,
                ),
                ("", r#"{"type":"response.output_text.delta","delta":"a"}"#, r#"content known: "hma", -, no usage, "#),
                ("", r#"{"type":"response.refusal.delta","delta":"b"}"#, r#"content known: "hmab", -, no usage, "#),
                (
                    "",
                    r#"{"type":"response.function_call_arguments.delta","delta":"{}"}"#,
                    r#"tool_call known: "hmab{}", -, no usage, "#,
                ),
                ("", r#"{"type":"response.output_text.done","text":"a"}"#, r#"known: "hmab{}", -, no usage, "#),
                (
                    "",
                    r#"{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":3,"output_tokens":5}}}"#,
                    r#"finish usage known: "hmab{}", completed, 3/5/-, finished done"#,
                ),
            ],
        ),
        (
            "responses",
            &[(
                "",
                r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
                r#"finish known: "", max_output_tokens, no usage, done"#,
            )],
        ),
        (
            "responses",
            &[(
                "",
                r#"{"type":"response.failed","response":{"error":{"message":"out of memory"}}}"#,
                r#"error known: "", -, no usage, done, error: out of memory"#,
            )],
        ),
        (
            "responses",
            &[(
                "",
                r#"{"type":"response.failed","response":{}}"#,
                r#"error known: "", -, no usage, done, error: {"type":"response.failed","response":{}}"#,
            )],
        ),
        (
            "responses",
            &[(
                "",
                r#"{"type":"response.failed","response":{"status":"failed","error":{"message":"out of memory"}}}"#,
                r#"finish error known: "", failed, no usage, done, error: out of memory"#,
            )],
        ),
        (
            "responses",
            &[(
                "",
                r#"{"type":"response.cancelled","response":{"status":"cancelled"}}"#,
                r#"finish error known: "", cancelled, no usage, done, error: the server ended the answer with the finish reason `cancelled`"#,
            )],
        ),
        ("responses", &[("", r#"{"object":"error","message":"bad"}"#, r#"error: "", -, no usage, , error: bad"#)]),
        (
            "responses",
            &[
                ("", r#"{"type":"error","message":"bad"}"#, r#"error: "", -, no usage, , error: bad"#),
                ("", r#"null"#, r#": "", -, no usage, , error: bad"#),
            ],
        ),
        (
            "ollama",
            &[
                (
                    "",
                    r#"{"message":{"role":"assistant","content":"","thinking":"hm"},"done":false}"#,
                    r#"role reasoning known: "hm", -, no usage, "#,
                ),
                (
                    "",
                    r#"{"message":{"role":"assistant","content":"a"},"done":false}"#,
                    r#"role content known: "hma", -, no usage, "#,
                ),
                (
                    "",
                    r#"{"message":{"content":"","tool_calls":[{"function":{"arguments":{"x":1}}},{"function":{}}]},"done":false}"#,
                    r#"tool_call known: "hma{\"x\":1}", -, no usage, "#,
                ),
                (
                    "",
                    r#"{"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":5}"#,
                    r#"finish usage known: "hma{\"x\":1}", stop, 3/5/-, finished done"#,
                ),
                ("", r#"{"message":{"content":""}}"#, r#"known: "hma{\"x\":1}", stop, 3/5/-, finished done"#),
            ],
        ),
        (
            "ollama",
            &[
                ("", r#"{"done":true}"#, r#"finish known: "", stop, no usage, finished done"#),
                ("", r#"{"response":"a"}"#, r#"content known: "a", stop, no usage, done"#),
                ("", r#"{}"#, r#": "a", stop, no usage, done"#),
            ],
        ),
        (
            "sglang",
            &[
                (
                    "",
                    r#"{"text":"a","output_ids":[1],"meta_info":{"prompt_tokens":3,"completion_tokens":1}}"#,
                    r#"content usage known: "a", -, 3/1/-, "#,
                ),
                (
                    "",
                    r#"{"text":"ab","output_ids":[1,2],"meta_info":{"prompt_tokens":3,"completion_tokens":2,"finish_reason":{"type":"length"}}}"#,
                    r#"content finish usage known: "ab", length, 3/2/-, finished"#,
                ),
                ("", r#"[DONE]"#, r#"done: "ab", length, 3/2/-, finished done"#),
            ],
        ),
        (
            "sglang",
            &[
                (
                    "",
                    r#"{"text":"a","output_ids":[1],"meta_info":{"completion_tokens":1}}"#,
                    r#"content usage known: "a", -, -/1/-, "#,
                ),
                (
                    "",
                    r#"{"text":"ab","output_ids":[2],"meta_info":{"completion_tokens":2,"finish_reason":null}}"#,
                    r#"content usage known: "aab", -, -/2/-, "#,
                ),
                (
                    "",
                    r#"{"text":"","meta_info":{"finish_reason":{"type":"abort","message":"out of memory"}}}"#,
                    r#"finish error known: "aab", abort, -/2/-, finished, error: out of memory (finish reason `abort`)"#,
                ),
            ],
        ),
        (
            "sglang",
            &[
                ("", r#"{"text":"a"}"#, r#"content: "a", -, no usage, "#),
                ("", r#"{"error":{"message":"bad"}}"#, r#"error: "a", -, no usage, , error: bad"#),
            ],
        ),
        (
            "tgi",
            &[
                ("", r#"{"token":{"text":"a","special":false}}"#, r#"content known: "a", -, no usage, "#),
                (
                    "",
                    r#"{"token":{"text":"</s>","special":true},"generated_text":"a","details":{"finish_reason":"eos_token","generated_tokens":2,"input_length":3}}"#,
                    r#"finish usage known: "a", eos_token, 3/2/-, finished done"#,
                ),
            ],
        ),
        (
            "llamacpp",
            &[
                ("", r#"null"#, r#": "", -, no usage, "#),
                ("", r#"{"content":"a","stop":false}"#, r#"content known: "a", -, no usage, "#),
                (
                    "",
                    r#"{"content":"","stop":true,"stop_type":"limit","tokens_predicted":5,"tokens_evaluated":3,"timings":{"cache_n":2}}"#,
                    r#"finish usage known: "a", limit, 3/5/2, finished"#,
                ),
            ],
        ),
        (
            "llamacpp",
            &[
                ("", r#"{"content":"","stop":true}"#, r#"finish known: "", stop, no usage, finished"#),
                ("", r#"{"content":"a"}"#, r#"content known: "a", stop, no usage, "#),
            ],
        ),
        (
            "turbomind",
            &[(
                "",
                r#"{"text":"a","output_ids":[1],"meta_info":{"completion_tokens":1,"finish_reason":{"type":"stop"}}}"#,
                r#"content finish usage known: "a", stop, -/1/-, finished"#,
            )],
        ),
    ];
    for (api, events) in table {
        let (parsed, mut answer): (Api, _) = (api.parse().unwrap(), Answer::default());
        for (name, data, expected) in *events {
            let event = parsed.take_item(&mut answer, name.as_bytes(), data.as_bytes()).unwrap();
            assert_eq!(format!("{}: {}", flags(event), said(&answer)), *expected, "{api}: {data}");
        }
    }
}

#[test]
fn what_python_and_javascript_read_is_read() {
    let read = |data: &str| {
        let mut answer = Answer::default();
        let taken = Api::from_str("ollama").unwrap().take_item(&mut answer, b"", data.as_bytes());
        taken.map(|_| answer.text).map_err(|e| e.to_string().split(" at ").next().unwrap().to_owned())
    };
    assert_eq!(read(r#"{"message":{"content":"a\ud83d"}}"#), Ok("a\u{fffd}".to_owned()));
    assert_eq!(read(r#"{"response":"a","response":"b"}"#), Ok("b".to_owned()));
    assert!(read(r#"{"message":{"content":"a"#).is_err_and(|why| why.starts_with("EOF while parsing")));
}
