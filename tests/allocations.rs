//! What runs once per token allocates nothing: the items of a stream are read by each API without asking for memory, once its
//! buffers have grown.

#![cfg(feature = "harness")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use tachometer::{client::Api, internals::StreamReader};

/// The system's allocator, which counts for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The item of a token, as each API words it; the number makes it another one each time.
fn item(api: &str, i: usize, said: &mut String) -> String {
    let word = format!(" word{i}");
    said.push_str(&word);
    match api {
        "chat" | "lmdeploy" => {
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"finish_reason\":null}}]}}\n\n"
            )
        }
        "completions" => {
            format!("data: {{\"choices\":[{{\"index\":0,\"text\":\"{word}\",\"finish_reason\":null}}]}}\n\n")
        }
        "responses" => {
            let kind = "response.output_text.delta";
            format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"delta\":\"{word}\",\"logprobs\":[]}}\n\n")
        }
        "messages" => {
            let kind = "content_block_delta";
            format!(
                "event: {kind}\ndata: {{\"type\":\"{kind}\",\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}}}\n\n"
            )
        }
        "ollama" => format!("{{\"message\":{{\"role\":\"assistant\",\"content\":\"{word}\"}},\"done\":false}}\n"),
        "sglang" => {
            let counts = format!("\"completion_tokens\":{},\"prompt_tokens\":3,\"finish_reason\":null", i + 1);
            format!("data: {{\"text\":\"{said}\",\"meta_info\":{{{counts}}}}}\n\n")
        }
        "turbomind" => {
            format!(
                "data: {{\"text\":\"{word}\",\"output_ids\":[7],\"meta_info\":{{\"completion_tokens\":{}}}}}\n\n",
                i + 1
            )
        }
        "tgi" => format!("data: {{\"token\":{{\"text\":\"{word}\",\"special\":false}},\"generated_text\":null}}\n\n"),
        "llamacpp" => format!("data: {{\"index\":0,\"content\":\"{word}\",\"tokens\":[7],\"stop\":false}}\n\n"),
        other => panic!("{other} has no item here"),
    }
}

#[test]
fn no_token_of_any_api_allocates() {
    for api in Api::all().filter(|api| api.generates()) {
        let mut said = String::new();
        let items: Vec<String> = (0..200).map(|i| item(api.name(), i, &mut said)).collect();
        let mut reader = StreamReader::new(api);
        let mut allocations = 0;
        // The first stream lets the buffers grow.
        for _ in 0..2 {
            reader.reset();
            let before = ALLOCATIONS.get();
            for item in &items {
                // Cut in the middle, as networks do.
                let (head, tail) = item.split_at(item.len() / 2);
                assert_eq!(reader.feed(head.as_bytes()) + reader.feed(tail.as_bytes()), 1, "{api}: {item}");
            }
            allocations = ALLOCATIONS.get() - before;
            assert_eq!(reader.text(), said, "{api}");
        }
        assert_eq!(allocations, 0, "{api}");
    }
}
