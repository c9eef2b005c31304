//! The programme's credential authority: a private certificate authority for listeners and callers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use crossing::identify::Session;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use time::{Duration, OffsetDateTime};

use crate::error::CommandError;
use crate::layout::Layout;

/// Days that a listener's certificate and the authority's own last.
const AUTHORITY_DAYS: i64 = 3650;
const LISTENER_DAYS: i64 = 365;

fn named(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn lasting(params: &mut CertificateParams, validity: Duration) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::minutes(5);
    params.not_after = now + validity;
}

/// Makes the authority and the gateway's certificate. Explicit, never a side effect.
///
/// # Errors
/// When a file is there already or cannot be written.
pub fn create(layout: &Layout, programme: &str) -> Result<()> {
    let folder = layout.tls();
    std::fs::create_dir_all(&folder)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("{programme} credential authority"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lasting(&mut params, Duration::days(AUTHORITY_DAYS));
    let certificate = params.self_signed(&key)?;
    vault::keys::write_secret(&folder.join("ca.key"), key.serialize_pem())?;
    std::fs::write(folder.join("ca.pem"), certificate.pem())?;
    listener(layout, &folder.join("gateway"), &["localhost", "clover.local"])
}

fn issuer(layout: &Layout) -> Result<Issuer<'static, KeyPair>> {
    let folder = layout.tls();
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).with_context(|| format!("cannot read `tls/{name}`"))
    };
    let key = KeyPair::from_pem(&read("ca.key")?)?;
    Ok(Issuer::from_ca_cert_pem(&read("ca.pem")?, key)?)
}

/// A file of a pair: its ending is added, for a name may have dots of its own.
#[must_use]
pub fn file(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn write_pair(stem: &Path, certificate: &str, key: &KeyPair) -> Result<()> {
    if let Some(parent) = stem.parent() {
        std::fs::create_dir_all(parent).map_err(CommandError::file(parent))?;
    }
    let key_path = file(stem, "key");
    // A credential is issued anew under its name; the old key is of no use to anyone.
    let _ = std::fs::remove_file(&key_path);
    vault::keys::write_secret(&key_path, key.serialize_pem())?;
    let pem = file(stem, "pem");
    Ok(std::fs::write(&pem, certificate).map_err(CommandError::file(&pem))?)
}

/// Issues a listener's certificate for these host names and for loopback, as `<stem>.pem` and `<stem>.key`.
///
/// # Errors
/// When the authority's files or the target cannot be used.
pub fn listener(layout: &Layout, stem: &Path, hosts: &[&str]) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())?;
    params.subject_alt_names.push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
    params.distinguished_name = named(hosts.first().copied().unwrap_or("listener"));
    // Forward lanes show it to destinations too; it names no actor, so it opens nothing here.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    lasting(&mut params, Duration::days(LISTENER_DAYS));
    let certificate = params.signed_by(&key, &issuer(layout)?)?;
    write_pair(stem, &certificate.pem(), &key)
}

/// Issues a caller's certificate, whose only name is the SPIFFE id of the session.
///
/// # Errors
/// When the authority's files or the target cannot be used.
pub fn credential(
    layout: &Layout,
    programme: &str,
    session: &Session,
    hours: u32,
    stem: &Path,
) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    let uri = crossing::credential::spiffe::write(programme, session);
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(uri)?)];
    params.distinguished_name = named("clover credential");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    lasting(&mut params, Duration::hours(i64::from(hours)));
    let certificate = params.signed_by(&key, &issuer(layout)?)?;
    write_pair(stem, &certificate.pem(), &key)
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(stem: &Path) -> Result<Pair> {
    read_pair(&file(stem, "pem"), &file(stem, "key"))
}

fn read_pair(pem: &Path, key: &Path) -> Result<Pair> {
    let chain = CertificateDer::pem_file_iter(pem).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|e| anyhow!("cannot read `{}`: {e}", pem.display()))?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|e| anyhow!("cannot read `{}`: {e}", key.display()))?;
    Ok((chain, key))
}

fn roots(ca: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(ca).map_err(|e| anyhow!("cannot read `{}`: {e}", ca.display()))?
    {
        roots.add(certificate.map_err(|e| anyhow!("cannot read `{}`: {e}", ca.display()))?)?;
    }
    if roots.is_empty() {
        bail!("there is no certificate in `{}`", ca.display());
    }
    Ok(roots)
}

/// TLS of a listener: callers may show a certificate of the authority; a wrong one ends the handshake.
///
/// # Errors
/// When the files cannot be used.
pub fn server_config(layout: &Layout, stem: &Path) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots(&layout.tls().join("ca.pem"))?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let verifier = verifier.allow_unauthenticated().build()?;
    let (chain, key) = pair(stem)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificate that a listener shows, as it is on the wire.
///
/// # Errors
/// When the file cannot be used.
pub fn certificate(stem: &Path) -> Result<Vec<u8>> {
    let (chain, _) = pair(stem)?;
    Ok(chain.first().context("there is no certificate")?.to_vec())
}

/// TLS of a listener that anybody may ask, with a certificate and its key from files.
///
/// # Errors
/// When the files cannot be used.
pub fn public_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let (chain, key) = read_pair(certificate, key)?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// TLS of a caller: trusts this authority only, and shows a certificate if it has one.
///
/// # Errors
/// When the files cannot be used.
pub fn client_config(ca: &Path, credential: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let credential = credential.map(|stem| (file(stem, "pem"), file(stem, "key")));
    client(ca, credential.as_ref())
}

/// The same, with the files of certificate and key under names of their own.
///
/// # Errors
/// When the files cannot be used.
pub fn client(ca: &Path, credential: Option<&(PathBuf, PathBuf)>) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca)?);
    Ok(Arc::new(match credential {
        Some((certificate, key)) => {
            let (chain, key) = read_pair(certificate, key)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    }))
}
