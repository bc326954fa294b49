//! Every way a response can go wrong, one trial each, in short time: docs/faults.md lists them by the same names.

use std::{collections::BTreeSet, io, process::ExitCode, sync::Arc, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};
use tachometer::{
    client::{Client, ConnectionStats, Headers, Record, RequestWriter, Sampling, ServerUrl, Target, Timeouts, Trust},
    dataset::Prompt,
    fixtures,
    internals::PerThread,
    metrics::{ClientUse, PassMetrics, count_output_tokens},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a server does after it has read a request.
#[derive(Clone, Copy)]
enum Does {
    Sends(&'static str),
    /// So many times.
    Repeats(&'static str, usize),
    /// Until the client has had enough.
    GoesOnWith(&'static str),
    /// One with each pause, until the client has had enough.
    Trickles(&'static str),
    /// For longer than a client waits for what comes after an answer.
    Pauses,
    Nothing,
    Resets,
}
use Does::{GoesOnWith, Nothing, Pauses, Repeats, Resets, Sends, Trickles};

struct Fault {
    name: &'static str,
    api: &'static str,
    streaming: bool,
    does: &'static [Does],
    /// The class, or `completed`.
    outcome: &'static str,
    /// A part of what the user sees.
    message: &'static str,
}

/// A streamed response's fault.
const fn stream(name: &'static str, outcome: &'static str, message: &'static str, does: &'static [Does]) -> Fault {
    Fault { name, api: "chat", streaming: true, does, outcome, message }
}

/// A fault of another API's streams.
const fn of(api: &'static str, fault: Fault) -> Fault {
    Fault { api, ..fault }
}

/// The fault of a response in one piece.
const fn whole(name: &'static str, outcome: &'static str, message: &'static str, does: &'static [Does]) -> Fault {
    Fault { name, api: "chat", streaming: false, does, outcome, message }
}

const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n";
const SIZED: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n";
/// Whole as it may look, there are 5,000 bytes to come.
const BODY: &str = "{\"choices\":[{\"message\":{\"content\":\"A\"},\"finish_reason\":\"stop\"}]}";
const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const TOKEN: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" the\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const FAILED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\"}]}\n\n";
const ABORTED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"abort\"}]}\n\n";
const ABORTED_WHY: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":{\"type\":\"abort\",\"message\":\"out of memory\"}}]}\n\n";
const FILTERED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n";
const LINES: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
const LINE: &str = "{\"message\":{\"role\":\"assistant\",\"content\":\" the\"},\"done\":false}\n";
const LAST_LINE: &str =
    "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":1,\"eval_count\":1}";
const BLOCK: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\" the\"}}\n\n";
const MESSAGE_END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\n";
const OVERLOADED: &str =
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
const DELTA: &str =
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\" the\"}\n\n";
const RESPONSE_FAILED: &str = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"out of memory\"}}}\n\n";
const DOTS: &str = concat!(
    "................................................................................................................................",
    "................................................................................................................................",
);

const FAULTS: &[Fault] = &[
    stream("no-answer", "timeout", "no answer within 0.3 s (--first-token-timeout)", &[Nothing]),
    whole("no-answer-not-streamed", "timeout", "no complete answer within 0.9 s (--timeout)", &[Nothing]),
    stream("silence-after-head", "timeout", "no token within 0.3 s (--first-token-timeout)", &[Sends(SSE), Nothing]),
    stream(
        "silence-of-another-type",
        "timeout",
        "no token within 0.3 s (--first-token-timeout)",
        &[Sends(PLAIN), Nothing],
    ),
    stream("role-and-silence", "timeout", "no token within 0.3 s", &[Sends(SSE), Sends(ROLE), Nothing]),
    stream("pings-alone", "timeout", "no token within 0.3 s", &[Sends(SSE), Trickles(": ping\n\n")]),
    stream(
        "stall",
        "timeout",
        "nothing arrived for 0.3 s (--stall-timeout), after 2 token events",
        &[Sends(SSE), Sends(ROLE), Sends(TOKEN), Sends(TOKEN), Trickles(": ping\n\n")],
    ),
    stream("endless-stream", "timeout", "not finished within 0.9 s (--timeout)", &[Sends(SSE), Trickles(TOKEN)]),
    stream("closed-before-answer", "reset", "the server closed the connection instead of answering", &[]),
    stream("reset-before-answer", "reset", "the connection broke", &[Resets]),
    stream(
        "reset-in-an-event",
        "reset",
        "the connection broke",
        &[Sends(SSE), Sends(TOKEN), Sends("data: {\"cho"), Resets],
    ),
    stream(
        "end-in-an-event",
        "truncated",
        "neither a finish reason nor [DONE]",
        &[Sends(SSE), Sends(TOKEN), Sends("data: {\"cho")],
    ),
    stream(
        "end-without-last-chunk",
        "truncated",
        "neither a finish reason nor [DONE]",
        &[Sends(CHUNKED), Sends("3c\r\n"), Sends(TOKEN), Sends("\r\n")],
    ),
    stream(
        "all-but-the-last-chunk",
        "completed",
        "",
        &[Sends(CHUNKED), Sends("3c\r\n"), Sends(TOKEN), Sends("\r\ne\r\n"), Sends(DONE), Sends("\r\n")],
    ),
    stream(
        "end-after-last-chunk",
        "truncated",
        "neither a finish reason nor [DONE]",
        &[Sends(CHUNKED), Sends("3c\r\n"), Sends(TOKEN), Sends("\r\n0\r\n\r\n")],
    ),
    stream("broken-chunks", "malformed", "the chunked encoding is broken", &[Sends(CHUNKED), Sends("zz\r\n")]),
    stream("error-alone", "stream_error", "out of memory", &[Sends(SSE), Sends(ERROR)]),
    stream("error-and-done", "stream_error", "out of memory", &[Sends(SSE), Sends(TOKEN), Sends(ERROR), Sends(DONE)]),
    stream(
        "error-and-usage",
        "stream_error",
        "out of memory",
        &[Sends(SSE), Sends(TOKEN), Sends(ERROR), Sends(USAGE), Sends(DONE)],
    ),
    whole(
        "error-in-a-body",
        "stream_error",
        "out of memory",
        &[Sends(JSON), Sends("{\"error\":{\"message\":\"out of memory\"}}")],
    ),
    stream("left-open-after-done", "completed", "", &[Sends(SSE), Sends(TOKEN), Sends(DONE), Nothing]),
    stream("empty-stream", "truncated", "neither a finish reason nor [DONE]", &[Sends(SSE)]),
    stream("role-and-done", "empty", "ended without any token", &[Sends(SSE), Sends(ROLE), Sends(DONE)]),
    stream(
        "finish-without-token",
        "empty",
        "ended without any token",
        &[Sends(SSE), Sends(ROLE), Sends(STOP), Sends(DONE)],
    ),
    stream(
        "http-400-json",
        "http_400",
        "prompt is too long",
        &[Sends(
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 44\r\n\r\n{\"error\":{\"message\":\"prompt is too long\"}}  ",
        )],
    ),
    stream(
        "http-404-odd-json",
        "http_404",
        "Not Found",
        &[Sends("HTTP/1.1 404 Not Found\r\ncontent-length: 22\r\n\r\n{\"detail\":\"Not Found\"}")],
    ),
    stream(
        "http-500-text",
        "http_500",
        "worker died",
        &[Sends("HTTP/1.1 500 No\r\ncontent-length: 11\r\n\r\nworker died")],
    ),
    stream(
        "http-502-html",
        "http_502",
        "Bad Gateway",
        &[Sends(
            "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 33\r\n\r\n<html><h1>Bad Gateway</h1></html>",
        )],
    ),
    stream(
        "http-503-loading",
        "http_503",
        "Loading model",
        &[Sends(
            "HTTP/1.1 503 No\r\ncontent-length: 52\r\n\r\n{\"error\":{\"message\":\"Loading model\",\"type\":\"error\"}}",
        )],
    ),
    stream(
        "http-429-retry-after",
        "http_429",
        "slow down; the server asks to wait (Retry-After: 7)",
        &[Sends("HTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\nslow down")],
    ),
    stream(
        "redirect",
        "http_307",
        "redirect to http://127.0.0.1:1/, which is not followed",
        &[Sends("HTTP/1.1 307 No\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")],
    ),
    stream(
        "html-at-200",
        "malformed",
        "the response contains no part of a completion",
        &[Sends("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 19\r\n\r\n<html>Hello!</html>")],
    ),
    stream(
        "json-though-streamed",
        "malformed",
        "a stream was requested, but the response is a single JSON body",
        &[Sends(JSON), Sends("{\"choices\":[{\"message\":{\"content\":\"A\"},\"finish_reason\":\"stop\"}]}")],
    ),
    whole(
        "stream-though-not",
        "malformed",
        "the server streamed, although no stream was requested",
        &[Sends(SSE), Sends(TOKEN), Sends(DONE)],
    ),
    whole(
        "body-without-its-end",
        "truncated",
        "closed the connection before the end of the body",
        &[Sends(SIZED), Sends(BODY)],
    ),
    whole("reset-in-a-body", "reset", "the connection broke", &[Sends(SIZED), Sends(BODY), Resets]),
    whole(
        "body-that-trickles",
        "timeout",
        "no complete answer within 0.9 s (--timeout)",
        &[Sends(SIZED), Sends(BODY), Trickles(" ")],
    ),
    whole(
        "half-a-body",
        "truncated",
        "the body ends in the middle of its JSON",
        &[Sends(JSON), Sends("{\"choices\":[{")],
    ),
    whole("not-json", "malformed", "the body is not a completion", &[Sends(JSON), Sends("Hello")]),
    stream(
        "gzip",
        "malformed",
        "the response is gzip-encoded, which was not requested",
        &[Sends(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n\u{1f}",
        )],
    ),
    stream("not-http", "malformed", "the response is not HTTP/1.1", &[Sends("SSH-2.0-OpenSSH_9.2\r\n\r\n")]),
    stream(
        "endless-headers",
        "malformed",
        "the response is not HTTP/1.1: too many headers",
        &[Sends("HTTP/1.1 200 OK\r\n"), GoesOnWith("a: b\r\n")],
    ),
    stream(
        "endless-head",
        "malformed",
        "the response's head is larger than",
        &[Sends("HTTP/1.1 200 OK\r\na: "), GoesOnWith("b")],
    ),
    stream(
        "event-of-100-mb",
        "malformed",
        "an event is larger than 16 MiB",
        &[Sends(SSE), Sends("data: "), Repeats(DOTS, 400_000)],
    ),
    stream("response-of-100-mb", "malformed", "the response is larger than 64 MiB", &[Sends(SSE), GoesOnWith(TOKEN)]),
    whole("body-of-100-mb", "malformed", "the response is larger than 64 MiB", &[Sends(JSON), GoesOnWith(DOTS)]),
    stream(
        "bad-json-among-good",
        "malformed",
        "an event is not part of a completion",
        &[Sends(SSE), Sends(TOKEN), Sends("data: {\"choices\": [\n\n"), Sends(TOKEN), Sends(DONE)],
    ),
    stream(
        "foreign-events",
        "malformed",
        "the response contains no part of a completion",
        &[Sends(SSE), Sends("data: {\"token\":1}\n\n")],
    ),
    stream(
        "finish-reason-error",
        "stream_error",
        "the server ended the answer with the finish reason `error`",
        &[Sends(SSE), Sends(TOKEN), Sends(FAILED), Sends(DONE)],
    ),
    stream(
        "finish-reason-abort",
        "stream_error",
        "the server ended the answer with the finish reason `abort`",
        &[Sends(SSE), Sends(TOKEN), Sends(ABORTED), Sends(USAGE), Sends(DONE)],
    ),
    stream(
        "finish-reason-as-an-object",
        "stream_error",
        "out of memory (finish reason `abort`)",
        &[Sends(SSE), Sends(TOKEN), Sends(ABORTED_WHY), Sends(DONE)],
    ),
    whole(
        "finish-reason-error-in-a-body",
        "stream_error",
        "the server ended the answer with the finish reason `error`",
        &[Sends(JSON), Sends("{\"choices\":[{\"message\":{\"content\":\"A\"},\"finish_reason\":\"error\"}]}")],
    ),
    stream(
        "finish-reason-with-every-piece",
        "completed",
        "",
        &[
            Sends(SSE),
            Repeats("data: {\"choices\":[{\"delta\":{\"content\":\" the\"},\"finish_reason\":\"stop\"}]}\n\n", 2),
            Pauses,
            Sends(TOKEN),
            Sends(DONE),
        ],
    ),
    stream("content-filter", "completed", "", &[Sends(SSE), Sends(TOKEN), Sends(FILTERED), Sends(DONE)]),
    stream(
        "empty-finish-reason",
        "truncated",
        "neither a finish reason nor [DONE]",
        &[Sends(SSE), Sends("data: {\"choices\":[{\"delta\":{\"content\":\" a\"},\"finish_reason\":\"\"}]}\n\n")],
    ),
    stream(
        "null-as-a-finish-reason",
        "truncated",
        "neither a finish reason nor [DONE]",
        &[Sends(SSE), Sends("data: {\"choices\":[{\"delta\":{\"content\":\" a\"},\"finish_reason\":\"null\"}]}\n\n")],
    ),
    stream(
        "error-field",
        "stream_error",
        "out of memory",
        &[Sends(SSE), Sends(TOKEN), Sends("error: {\"code\":500,\"message\":\"out of memory\"}\n\n")],
    ),
    stream(
        "event-named-error",
        "stream_error",
        "the engine is gone",
        &[Sends(SSE), Sends(TOKEN), Sends("event: error\ndata: the engine is gone\n\n"), Sends(STOP), Sends(DONE)],
    ),
    stream(
        "event-of-type-error",
        "stream_error",
        "overloaded",
        &[Sends(SSE), Sends(TOKEN), Sends("data: {\"type\":\"error\",\"message\":\"overloaded\"}\n\n"), Sends(STOP)],
    ),
    stream(
        "code-and-message",
        "stream_error",
        "out of memory",
        &[Sends(SSE), Sends(TOKEN), Sends("data: {\"code\":500,\"message\":\"out of memory\"}\n\n"), Sends(STOP)],
    ),
    stream(
        "error-that-is-none",
        "completed",
        "",
        &[
            Sends(SSE),
            Sends("data: {\"choices\":[{\"delta\":{\"content\":\" a\"}}],\"error\":{}}\n\n"),
            Sends(STOP),
            Sends(DONE),
        ],
    ),
    stream(
        "half-a-surrogate-pair",
        "completed",
        "",
        &[
            Sends(SSE),
            Sends("data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}]}\n\n"),
            Sends(STOP),
            Sends(DONE),
        ],
    ),
    stream(
        "fractional-count",
        "completed",
        "",
        &[
            Sends(SSE),
            Sends(TOKEN),
            Sends(STOP),
            Sends("data: {\"choices\":[],\"usage\":{\"completion_tokens\":1.0}}\n\n"),
        ],
    ),
    stream(
        "function-that-is-null",
        "completed",
        "",
        &[
            Sends(SSE),
            Sends("data: {\"choices\":[{\"delta\":{\"content\":\" a\",\"tool_calls\":[{\"function\":null}]}}]}\n\n"),
            Sends(STOP),
        ],
    ),
    stream(
        "repeated-key",
        "completed",
        "",
        &[Sends(SSE), Sends("data: {\"choices\":[],\"choices\":[{\"delta\":{\"content\":\" a\"}}]}\n\n"), Sends(STOP)],
    ),
    stream(
        "empty-usage-after-usage",
        "completed",
        "",
        &[
            Sends(SSE),
            Sends(TOKEN),
            Sends(STOP),
            Sends("data: {\"choices\":[],\"usage\":{\"completion_tokens\":7}}\n\n"),
            Sends("data: {\"choices\":[],\"usage\":{}}\n\n"),
            Sends(DONE),
        ],
    ),
    stream(
        "text-in-parts",
        "completed",
        "",
        &[
            Sends(SSE),
            Sends("data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\" the\"}]}}]}\n\n"),
            Sends(STOP),
        ],
    ),
    stream("more-than-max-tokens", "completed", "", &[Sends(SSE), Repeats(TOKEN, 9), Sends(STOP), Sends(DONE)]),
    stream(
        "usage-contradicts-text",
        "completed",
        "",
        &[Sends(SSE), Repeats(TOKEN, 3), Sends(STOP), Sends(USAGE), Sends(DONE)],
    ),
    of("ollama", stream("lines-cut", "truncated", "neither", &[Sends(LINES), Sends(LINE), Sends("{\"mess")])),
    of("ollama", stream("lines-without-an-end", "truncated", "neither", &[Sends(LINES), Sends(LINE)])),
    of(
        "ollama",
        stream("last-line-without-its-newline", "completed", "", &[Sends(LINES), Sends(LINE), Sends(LAST_LINE)]),
    ),
    of(
        "ollama",
        stream("lines-stall", "timeout", "after 1 token events", &[Sends(LINES), Sends(LINE), Trickles("\n")]),
    ),
    of(
        "ollama",
        stream(
            "error-in-a-line",
            "stream_error",
            "out of memory",
            &[Sends(LINES), Sends(LINE), Sends("{\"error\":\"out of memory\"}\n")],
        ),
    ),
    of(
        "ollama",
        stream(
            "events-where-lines-were-due",
            "malformed",
            "not part of a completion",
            &[Sends(SSE), Sends(ROLE), Sends(DONE)],
        ),
    ),
    stream(
        "lines-where-events-were-due",
        "malformed",
        "not a completion",
        &[Sends(LINES), Sends(LINE), Sends(LAST_LINE)],
    ),
    of("messages", stream("blocks-cut", "truncated", "neither", &[Sends(SSE), Sends(BLOCK), Sends("event: cont")])),
    of("messages", stream("blocks-without-an-end", "truncated", "neither", &[Sends(SSE), Sends(BLOCK)])),
    of(
        "messages",
        stream("blocks-stall", "timeout", "after 1 token events", &[Sends(SSE), Sends(BLOCK), Trickles(": ping\n\n")]),
    ),
    of(
        "messages",
        stream("error-after-a-block", "stream_error", "Overloaded", &[Sends(SSE), Sends(BLOCK), Sends(OVERLOADED)]),
    ),
    of(
        "messages",
        stream("message-without-its-last-event", "completed", "", &[Sends(SSE), Sends(BLOCK), Sends(MESSAGE_END)]),
    ),
    of(
        "responses",
        stream("response-failed", "stream_error", "out of memory", &[Sends(SSE), Sends(DELTA), Sends(RESPONSE_FAILED)]),
    ),
    of("responses", stream("response-without-an-end", "truncated", "neither", &[Sends(SSE), Sends(DELTA)])),
    of(
        "messages",
        stream(
            "chat-where-messages-were-due",
            "malformed",
            "no part of a completion",
            &[Sends(SSE), Sends(TOKEN), Sends(DONE)],
        ),
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = FAULTS.iter().map(|fault| Trial::test(fault.name, || check(fault))).collect();
    trials.push(Trial::test("refused", refused));
    trials.push(Trial::test("docs-list-every-fault", docs_list_every_fault));
    libtest_mimic::run(&arguments, trials).exit_code()
}

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_millis(1000),
    first_token: Duration::from_millis(300),
    stall: Duration::from_millis(300),
    total: Duration::from_millis(900),
};
/// For what takes time to be sent, on a busy machine above all.
const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(60),
    first_token: Duration::from_secs(60),
    stall: Duration::from_secs(60),
    total: Duration::from_secs(60),
};

fn check(fault: &'static Fault) -> Result<(), Failed> {
    let timeouts = if fault.outcome == "timeout" { TIMEOUTS } else { PATIENT };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (record, connections) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = listener.local_addr()?.to_string();
        tokio::select! {
            sent = send(&url, fault, timeouts) => sent,
            served = serve(listener, fault.does) => Err(format!("the server failed: {served:?}").into()),
        }
    })?;
    assert_eq!(connections.resent, 0);
    expect(record, fault)
}

fn expect(record: Record, fault: &Fault) -> Result<(), Failed> {
    let (outcome, message) = match &record.outcome {
        Ok(()) => ("completed".to_owned(), String::new()),
        Err(failure) => (failure.class.to_string(), failure.message.clone()),
    };
    if outcome != fault.outcome || !message.contains(fault.message) {
        return Err(format!("{outcome}: {message}\nexpected {}: {}", fault.outcome, fault.message).into());
    }
    let mut records = [record];
    count_output_tokens(&mut records, &fixtures::tokenizer()?)?;
    let pass = PassMetrics::of(0, String::new(), &records, ConnectionStats::default(), ClientUse::default());
    // Its place in the report: a class with one example, or the tokens that came.
    if outcome == "completed" {
        assert_eq!((pass.completed, pass.failed), (1, 0));
    } else {
        assert_eq!((pass.completed, pass.failures.get(&outcome)), (0, Some(&1)));
        assert_eq!((pass.failure_examples.get(&outcome), pass.output_tokens), (Some(&message), 0));
    }
    match fault.name {
        "more-than-max-tokens" => assert_eq!((pass.output_tokens, pass.requested_tokens), (9, 4)),
        "usage-contradicts-text" => assert_eq!((pass.output_tokens, pass.contradicted), (1, 1)),
        "empty-usage-after-usage" => assert_eq!(pass.output_tokens, 7),
        "finish-reason-with-every-piece" => assert_eq!(pass.output_tokens, 3),
        "fractional-count" | "text-in-parts" => assert_eq!(pass.output_tokens, 1),
        "content-filter" => assert_eq!((pass.content_filtered, pass.contradicted), (1, 0)),
        "left-open-after-done" => assert_eq!((pass.connections.left_open, pass.contradicted), (0, 0)),
        _ => assert_eq!(pass.contradicted, 0),
    }
    Ok(())
}

async fn send(url: &str, fault: &Fault, timeouts: Timeouts) -> Result<(Record, ConnectionStats), Failed> {
    let target = Target::new(ServerUrl::parse(url)?, timeouts, &Trust::default())?;
    let sampling = Sampling { api: fault.api.parse()?, stream: fault.streaming, ..Sampling::default() };
    let writer = RequestWriter::new(&target.url, "m", &sampling, &Headers::default());
    let mut client = Client::new(Arc::new(target), Arc::new(writer), 0, PerThread::default());
    let prompt = Prompt::new("Hi", 4);
    let record = client.complete(0, &prompt, 4, "test").await;
    Ok((record, client.connection_stats()))
}

async fn serve(listener: TcpListener, does: &[Does]) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    // The client sends its request in one piece.
    _ = stream.read(&mut [0; 1 << 16]).await?;
    _ = answer(&mut stream, does).await;
    drop(stream);
    // What the client makes of it is the client's.
    std::future::pending().await
}

async fn answer(stream: &mut TcpStream, does: &[Does]) -> io::Result<()> {
    for step in does {
        match *step {
            Sends(text) => stream.write_all(text.as_bytes()).await?,
            Repeats(text, times) => {
                for _ in 0..times {
                    stream.write_all(text.as_bytes()).await?;
                }
            }
            GoesOnWith(text) => {
                let many = text.repeat(1000);
                loop {
                    stream.write_all(many.as_bytes()).await?;
                }
            }
            Trickles(text) => loop {
                stream.write_all(text.as_bytes()).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            },
            Pauses => tokio::time::sleep(Duration::from_millis(1200)).await,
            Nothing => std::future::pending().await,
            // Closing with a linger of zero sends RST; what was sent before gets time to arrive.
            Resets => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.set_zero_linger()?;
            }
        }
    }
    Ok(())
}

fn refused() -> Result<(), Failed> {
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fault = stream("refused", "connect", "Connection refused", &[]);
    let (record, _) = runtime.block_on(send(&free, &fault, PATIENT))?;
    expect(record, &fault)
}

/// A row for each fault, and none for what is not tested.
fn docs_list_every_fault() -> Result<(), Failed> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md"))?;
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>();
    let listed: BTreeSet<(String, String)> = docs
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("faults.rs"))
        .map(|row| (cells(row)[1].clone(), cells(row)[3].clone()))
        .collect();
    let mut tested: BTreeSet<(String, String)> =
        FAULTS.iter().map(|fault| (fault.name.to_owned(), fault.outcome.to_owned())).collect();
    tested.insert(("refused".to_owned(), "connect".to_owned()));
    assert_eq!(listed, tested);
    Ok(())
}
