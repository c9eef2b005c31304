//! Certificates of an authority that is not the enclave's own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Somebody else's authority.
pub(crate) struct Authority(rcgen::Certificate, KeyPair);

/// A certificate and its key, as PEM texts.
pub(crate) struct Shown {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be told apart by their signatures only.
        let name = format!("authority {:?}", key.public_key_raw());
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(params.self_signed(&key).unwrap(), key)
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its own certificate, in a file.
    pub(crate) fn file(&self, path: PathBuf) -> PathBuf {
        std::fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// A certificate for a name.
    pub(crate) fn issue(&self, name: &str) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        // Not the name of its issuer, or it would count as its own authority.
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = Issuer::from_ca_cert_der(self.0.der(), &self.1).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        Shown { certificate, key: key.serialize_pem() }
    }
}

impl Shown {
    /// Both, in files `<stem>.pem` and `<stem>.key`.
    pub(crate) fn files(&self, stem: &Path) {
        std::fs::write(stem.with_extension("pem"), &self.certificate).unwrap();
        std::fs::write(stem.with_extension("key"), &self.key).unwrap();
    }
}
