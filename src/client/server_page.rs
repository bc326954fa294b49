//! The server's own page of metrics, fetched through reqwest.

use std::{sync::Arc, time::Duration};

use super::{
    Target,
    request::Headers,
    server_info::{ServerError, bounded, http_builder, question, with_trust},
};

/// How long one page may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of a page that are read; one that is as long is none.
const MAX_PAGE: usize = 8 << 20;

/// Where a page of metrics is.
#[derive(Clone, Debug)]
pub enum PageAt {
    /// On the server that is measured, which gets the key and the headers.
    Path(String),
    /// Somewhere else, which gets none of them.
    Url(String),
}

/// Fetches a page again and again.
pub struct ServerPage {
    client: reqwest::Client,
    target: Arc<Target>,
    headers: Headers,
    at: PageAt,
}

impl ServerPage {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// Where the HTTP client can't be set up.
    pub fn new(target: Arc<Target>, headers: Headers, at: PageAt) -> Result<Self, ServerError> {
        let builder = match &at {
            PageAt::Path(_) => http_builder(&target)?,
            PageAt::Url(_) => {
                let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
                with_trust(builder, &target)?
            }
        };
        // A connection that was kept may lead to a process that is gone.
        let client = builder.pool_max_idle_per_host(0).build().map_err(|e| ServerError::Setup(e.to_string()))?;
        Ok(Self { client, target, headers, at })
    }

    /// The same page for another runtime, whose connections are its own.
    ///
    /// # Errors
    /// As [`ServerPage::new`].
    pub fn anew(&self) -> Result<Self, ServerError> {
        Self::new(self.target.clone(), self.headers.clone(), self.at.clone())
    }

    /// Its text; `None` where there is none, or it takes too long.
    pub async fn fetch(&self) -> Option<String> {
        let request = match &self.at {
            PageAt::Path(path) => question(&self.client, &self.target, &self.headers, path),
            PageAt::Url(url) => self.client.get(url),
        };
        let fetched = async {
            let response = request.send().await.ok().filter(|response| response.status().is_success())?;
            bounded(response, MAX_PAGE).await.ok()
        };
        let body = tokio::time::timeout(PATIENCE, fetched).await.ok()??;
        String::from_utf8(body).ok().filter(|text| text.len() < MAX_PAGE)
    }
}
