//! What several test targets share.

pub mod capture;
pub mod playback;
pub mod ways;
