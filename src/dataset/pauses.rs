//! Pauses between the turns of conversations.

use std::time::Duration;

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{Distribution, Prompt};

/// Gives each turn but the first a pause before it, in seconds, which the seed draws in place of the recorded one.
pub fn draw_pauses(prompts: &mut [Prompt], think_time: &Distribution, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Apart from what draws words and lengths.
    rng.set_stream(2);
    for prompt in prompts.iter_mut().filter(|prompt| prompt.turn > 0) {
        prompt.pause = Duration::try_from_secs_f64(think_time.draw(&mut rng).clamp(0.0, LONGEST_S)).unwrap_or_default();
    }
}

/// A day.
const LONGEST_S: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_turns_wait_for_as_long_as_the_seed_says() {
        let drawn = |think_time: &str, seed| {
            let mut prompts: Vec<Prompt> = [0, 1, 2, 0].map(|turn| Prompt { turn, ..Prompt::new("a", 1) }).into();
            draw_pauses(&mut prompts, &think_time.parse().unwrap(), seed);
            prompts.iter().map(|prompt| prompt.pause.as_secs_f64()).collect::<Vec<_>>()
        };
        assert_eq!(drawn("1.5", 0), [0.0, 1.5, 1.5, 0.0]);
        let random = drawn("exponential(2)", 1);
        assert!(random[1] > 0.0 && random[1] != random[2] && random[3] == 0.0, "{random:?}");
        assert_eq!((random.clone(), random != drawn("exponential(2)", 2)), (drawn("exponential(2)", 1), true));
        assert!(drawn("normal(0,1)", 3).iter().all(|pause| *pause >= 0.0));
    }
}
