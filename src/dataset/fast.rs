//! kitoken in place of tokenizers, and the texts on which it has to count as tokenizers does.

use memchr::memmem;
use rayon::prelude::*;

/// kitoken's form of a tokenizer.
pub(super) struct Model {
    kitoken: kitoken::Kitoken,
    /// A text that holds one of these is left to tokenizers.
    left: Vec<memmem::Finder<'static>>,
}

impl Model {
    /// The character which stands for a space inside of tokenizers: the two take it differently.
    const SPACE: &str = "\u{2581}";

    /// Unless it counts differently from `judge`.
    pub fn judged(judge: &tokenizers::Tokenizer, kitoken: kitoken::Kitoken) -> Option<Self> {
        let mut model = Self { kitoken, left: vec![memmem::Finder::new(Self::SPACE)] };
        let apart = added_apart(judge, &model);
        // A few, such as the token for what is unknown. With more, it is another tokenizer.
        if apart.len() > MOST_APART {
            return None;
        }
        model.left.extend(apart.iter().map(|token| memmem::Finder::new(token).into_owned()));
        passes(judge, &model).then_some(model)
    }

    /// Whatever it counts.
    #[cfg(test)]
    pub fn unjudged(kitoken: kitoken::Kitoken) -> Self {
        Self { kitoken, left: Vec::new() }
    }

    /// Without the tokens that are added around a text; `None` where it fails.
    pub fn count(&self, text: &str) -> Option<usize> {
        self.kitoken.encode(text, true).ok().map(|tokens| tokens.len())
    }

    /// Whether it leaves the text to tokenizers.
    pub fn leaves(&self, text: &str) -> bool {
        self.left.iter().any(|odd| odd.find(text.as_bytes()).is_some())
    }
}

/// Added tokens that may be counted differently.
const MOST_APART: usize = 4;

/// Whether all texts of the probe have equal counts.
fn passes(judge: &tokenizers::Tokenizer, model: &Model) -> bool {
    texts(judge).par_iter().all(|text| model.leaves(text) || agrees(judge, model, text))
}

/// The tokens that were added to the vocabulary and are counted differently.
fn added_apart(judge: &tokenizers::Tokenizer, model: &Model) -> Vec<String> {
    let added: Vec<String> = judge.get_added_tokens_decoder().into_values().map(|token| token.content).collect();
    let differs = |token: &String| {
        let text = format!("a{token} {token} b\n{token}{token}");
        !model.leaves(&text) && !agrees(judge, model, &text)
    };
    added.into_par_iter().filter(differs).collect()
}

fn agrees(judge: &tokenizers::Tokenizer, model: &Model, text: &str) -> bool {
    judge.encode_fast(text, false).ok().map(|tokens| tokens.len()) == model.count(text)
}

/// What people and programs write, and what only a test does.
const WRITTEN: &[&str] = &[
    "",
    "The server answered in 1,234.5 ms; it's what we'd hoped for, isn't it? I'VE don’t 'S 'll",
    "def f(x):\n\treturn [i ** 2 for i in range(10) if i % 2 == 0]\n\n\nclass A(B):\r\n    pass  # ok\r\n\r\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n* **bold** _it_ `code`\n\n```rust\nfn main() {}\n```\n",
    "{\"a\": [1, 2.5e-3, null], \"b\": \"\\u00e9\\n\"} <div class=\"x\">&nbsp;</div> https://a.b/c?d=e&f#g a@b.c",
    "Où est l’école ? Straße, naïve, Ångström, žluťoučký kůň, İstanbul, ΑΣΑΣ, привет мир",
    "漢字かな交じり文。「引用」、한국어 문장입니다. 今天天气很好，我们去公园吧！ ภาษาไทย हिन्दी मराठी",
    "مرحبا بالعالم שלום עולם \u{200f}\u{202b}x\u{202c}",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 ☺️ e\u{301}\u{300} ﬁ ² ½ ⅷ ① ｶﾞ Ｆｕｌｌ",
    " leading and trailing ",
    "\t\ttabs\t \n \n\n mixed \u{a0}\u{3000}\u{2003}spaces\u{2028}\u{2029}\u{85}\u{b}\u{c}ends",
    "a\u{0}b\u{1}\u{7f}\u{ad}\u{200b}\u{feff}\u{fffd}\u{e000}\u{10ffff}",
    "1234567890 12 3 4.5.6 ١٢٣ 000 1e10 0xFF #42 $9.99 50%",
    "##a ## b Ġa Ċ <0x0A><0x41> <s></s><unk><pad>[CLS][SEP][UNK][MASK]<|endoftext|><|im_start|>user<|im_end|>",
];

/// What is written in long runs.
const REPEATED: &[&str] = &[
    "a", "A", "ha", "ab ", " ", "\n", "\r\n", "\t", "1", "-", "=", "!?", "_", "…", "😀", "漢", "é", "\u{301}",
    "\u{a0}", "x\n", " x", "\n\tx",
];

fn texts(judge: &tokenizers::Tokenizer) -> Vec<String> {
    let mut texts: Vec<String> = WRITTEN.iter().map(|text| (*text).to_owned()).collect();
    for repeated in REPEATED {
        texts.extend([1, 2, 3, 7, 33, 130].map(|n| repeated.repeat(n)));
        texts.push(format!("x{0}y {0}z", repeated.repeat(5)));
    }
    // Words from all over the vocabulary.
    let size = judge.get_vocab_size(false) as u32;
    let ids: Vec<u32> = (0..size).step_by((size / 4000).max(1) as usize).collect();
    texts.extend(ids.chunks(16).filter_map(|ids| judge.decode(ids, true).ok()));
    texts.extend(ids.chunks(16).filter_map(|ids| {
        let words: Option<Vec<String>> = ids.iter().map(|id| judge.decode(&[*id], true).ok()).collect();
        Some(words?.join(" "))
    }));
    texts.extend(random());
    texts
}

/// Characters from everywhere, by a fixed xorshift generator.
fn random() -> impl Iterator<Item = String> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % below
    };
    (0..600).map(move |i| {
        let character = |_| {
            let (start, length) =
                [(0, 0x80), (0, 0x250), (0, 0x3000), (0x2000, 0x100), (0x4E00, 0x5000), (0, 0x11_0000)]
                    [next(6) as usize];
            char::from_u32((start + next(length)) as u32).unwrap_or(' ')
        };
        (0..=i % 48).map(character).collect()
    })
}
