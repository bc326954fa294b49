use crate::client::Record;

/// Hears of each request of a pass as it ends, from the thread that sent it: a progress bar, say. It stands in nobody's way: what
/// is slow here delays reads.
pub trait Observer: Send + Sync {
    /// A request has ended.
    fn ended(&self, record: &Record);
}

/// Nobody.
impl Observer for () {
    fn ended(&self, _: &Record) {}
}
