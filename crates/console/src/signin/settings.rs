//! How the provider is asked and read. Files were read by whoever makes this.

use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use super::claims::Names;

/// What `[signin]` of `enclave.toml` says.
#[derive(Clone)]
pub struct Settings {
    /// The provider's issuer, exactly as its tokens name it.
    pub issuer: String,
    /// Our name at the provider.
    pub client_id: String,
    /// Our secret at the provider, if it gave us one.
    pub client_secret: Option<String>,
    /// Where the provider sends browsers back to.
    pub redirect: String,
    /// Scopes beyond `openid`.
    pub scopes: Vec<String>,
    /// Which claims say what.
    pub names: Names,
    /// Whom to trust as the provider.
    pub tls: Arc<ClientConfig>,
    /// The provider may be asked over `http` on loopback. For tests.
    pub loopback_http: bool,
}
