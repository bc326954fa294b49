/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// What the platform trusts.
    #[default]
    Platform,
    /// Nothing but what the certificates of this PEM file have signed.
    CaFile(std::path::PathBuf),
    /// Everybody, which is no protection at all.
    Anyone,
}
