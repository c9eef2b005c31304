//! `clover init`: a new programme on one machine. Creation is explicit, never a side effect.

use std::path::Path;

use anyhow::{Context, Result};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use data_encoding::HEXLOWER;
use ledger::note::{Cosigner, Note, Signer, Verifier};
use ledger::policy::Builder;
use ledger::sha256;
use model::Name;
use model::rulebook::{Files, manifest};
use vault::log::Identity;

use crate::config::{self, Config};
use crate::error::CommandError;
use crate::layout::Layout;
use crate::{assemble, authority, keys, logs, office, site};

/// The rulebook that a new programme starts with.
pub const STARTER: &[(&str, &str)] = &[
    ("programme.toml", include_str!("../../../policies/starter/programme.toml")),
    ("catalogue.toml", include_str!("../../../policies/starter/catalogue.toml")),
    ("lanes.toml", include_str!("../../../policies/starter/lanes.toml")),
    ("access.toml", include_str!("../../../policies/starter/access.toml")),
    ("assessments.toml", include_str!("../../../policies/starter/assessments.toml")),
    ("clover.cedarschema", include_str!("../../../policies/starter/clover.cedarschema")),
    ("10-guardrails.cedar", include_str!("../../../policies/starter/10-guardrails.cedar")),
    ("20-permits.cedar", include_str!("../../../policies/starter/20-permits.cedar")),
    ("properties.cedar", include_str!("../../../policies/starter/properties.cedar")),
];

/// The stories of the starter rulebook, for `clover rulebook test`.
const STORIES: &[(&str, &str)] = &[
    ("grants.toml", include_str!("../../../policies/tests/grants.toml")),
    ("break-glass.toml", include_str!("../../../policies/tests/break-glass.toml")),
    ("assessments.toml", include_str!("../../../policies/tests/assessments.toml")),
    ("support-case.toml", include_str!("../../../policies/tests/support-case.toml")),
    ("transfers.toml", include_str!("../../../policies/tests/transfers.toml")),
];

/// Makes a programme in a folder that is not there or empty. A configuration may be given, which says where the logs'
/// frames go, and the control store.
///
/// # Errors
/// When the folder is in use, rulebook or configuration have problems, or a file or a log cannot be made.
pub fn init(layout: &Layout, rulebook: Option<&Path>, configuration: Option<&Path>) -> Result<()> {
    let root = layout.root();
    if root.exists() && std::fs::read_dir(root)?.next().is_some() {
        return Err(CommandError::NotEmpty(root.to_owned()).into());
    }
    let files = match rulebook {
        Some(folder) => assemble::read_files(folder)?,
        None => STARTER.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect(),
    };
    let book = crossing::rulebook::check(&files)?;
    let site = book.programme.sites.first().context("the programme names no site")?;
    for folder in [root.to_owned(), layout.keys(), layout.trust(), layout.auditor(), layout.regulator()] {
        std::fs::create_dir_all(folder)?;
    }
    let text = match configuration {
        Some(file) => std::fs::read_to_string(file).map_err(CommandError::file(file))?,
        None => config::starter(site.name.as_str()),
    };
    std::fs::write(layout.config(), text)?;
    let config = Config::load(&layout.config())?;
    assemble::fits(&config, &book)?;
    logs::check(layout, &config)?;
    keys::create(layout, &config)?;
    let keys = keys::open(layout, &config, &book.programme.name)?;
    office::create(layout, &config.control_store, &keys)?;
    logs::create_records(layout, &config)?;
    regulator(layout)?;
    let operator =
        signer(&layout.keys().join("operator.seed"), &format!("{}/operator", book.programme.name))?;
    let auditor =
        signer(&layout.auditor().join("auditor.seed"), &format!("{}/auditor", book.programme.name))?;
    let origin = assemble::origin(&book.programme.name, &config);
    let log = signer(&layout.keys().join("log.seed"), &origin)?;
    let site_log = signer(&layout.keys().join("site.seed"), &site::origin(&book.programme.name, &config))?;
    let key_log =
        signer(&layout.keys().join("keys.seed"), &site::keys_origin(&book.programme.name, &config))?;
    let sessions =
        signer(&layout.keys().join("sessions.seed"), &format!("{}/sessions", book.programme.name))?;
    let signers = [
        ("operator", &operator),
        ("auditor", &auditor),
        ("log", &log),
        ("site", &site_log),
        ("keys", &key_log),
        ("sessions", &sessions),
    ];
    for (name, key) in signers {
        write_vkey(layout, name, key.verifier())?;
    }
    let mirror = local_mirror(layout, &book.programme.name)?;
    policy(layout, &config, site_log.verifier(), &mirror)?;
    write_rulebook(layout, &files)?;
    if rulebook.is_none() {
        std::fs::create_dir_all(layout.stories())?;
        for (name, text) in STORIES {
            std::fs::write(layout.stories().join(name), text)?;
        }
    }
    sign_rulebook(layout, &[&operator, &auditor])?;
    authority::create(layout, book.programme.name.as_str())?;
    for (name, signer) in [("log", log), ("site", site_log), ("keys", key_log)] {
        let origin = signer.verifier().name().to_owned();
        logs::create(layout, &config, name, &Identity { origin, signer })?;
    }
    assemble::activate(layout)
}

fn write_vkey(layout: &Layout, name: &str, key: &Verifier) -> Result<()> {
    Ok(std::fs::write(layout.trust().join(format!("{name}.vkey")), format!("{}\n", key.to_vkey()))?)
}

/// The two keys of a mirror on this machine: it signs what it holds with one, and the logs of others with the other.
fn local_mirror(layout: &Layout, programme: &Name) -> Result<Verifier> {
    std::fs::create_dir_all(layout.mirror())?;
    let make = |name: &str| -> Result<Verifier> {
        let seed = seed(&layout.mirror().join(format!("{name}.seed")))?;
        let key = Cosigner::from_seed(&format!("{programme}/local-{name}"), &seed)?.verifier().clone();
        write_vkey(layout, name, &key)?;
        Ok(key)
    };
    make("witness")?;
    make("mirror")
}

/// A quorum of one mirror on this machine, which makes it run and proves nothing to anybody else.
fn policy(layout: &Layout, config: &Config, site_log: &Verifier, mirror: &Verifier) -> Result<()> {
    let mut policy = Builder::default();
    let listeners = &config.logs;
    let base = match (listeners.clear, listeners.tls, config.hosts.first()) {
        (Some(address), ..) => Some(format!("http://{address}")),
        (None, Some(address), Some(host)) => Some(format!("https://{host}:{}", address.port())),
        _ => None,
    };
    let url = base.map(|base| format!("{base}/{}", site::PREFIX));
    policy.log(site_log.clone(), url.as_deref())?;
    let url = config.mirror.map(|address| format!("http://{address}"));
    policy.witness(site::mirror::NAME, mirror.clone(), url.as_deref())?;
    let text = policy.build(site::mirror::NAME)?.to_string();
    Ok(std::fs::write(layout.policy(), text)?)
}

/// A new seed, kept in a file that only its owner reads.
///
/// # Errors
/// When the file is there already or cannot be written.
pub fn seed(path: &Path) -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    vault::keys::random(&mut seed)?;
    vault::keys::write_secret(path, format!("{}\n", HEXLOWER.encode(&seed)))?;
    Ok(seed)
}

/// A signing key, made and kept in a file that only its owner reads.
fn signer(path: &Path, name: &str) -> Result<Signer> {
    Ok(Signer::from_seed(name, &seed(path)?)?)
}

/// The regulator's key pair: the private half belongs elsewhere.
fn regulator(layout: &Layout) -> Result<()> {
    let broken = |_| anyhow::anyhow!("cannot make the regulator's key");
    let private = PrivateDecryptingKey::generate(KeySize::Rsa3072).map_err(broken)?;
    let der: Pkcs8V1Der<'_> = private.as_der().map_err(broken)?;
    let text = data_encoding::BASE64.encode(der.as_ref());
    vault::keys::write_secret(&layout.regulator().join("regulator.pk8.b64"), format!("{text}\n"))?;
    let public: PublicKeyX509Der<'_> = private.public_key().as_der().map_err(broken)?;
    std::fs::write(layout.keys().join("regulator.der"), public.as_ref())?;
    Ok(())
}

/// Writes the files of a rulebook.
///
/// # Errors
/// What the file system says.
pub fn write_rulebook(layout: &Layout, files: &Files) -> Result<()> {
    std::fs::create_dir_all(layout.rulebook())?;
    for (name, text) in files {
        std::fs::write(layout.rulebook().join(name), text)?;
    }
    Ok(())
}

/// Signs the rulebook's manifest, keeping signatures that are there and still cover these files.
///
/// # Errors
/// When the files cannot be read or a key refuses.
pub fn sign_rulebook(layout: &Layout, signers: &[&Signer]) -> Result<()> {
    let files = assemble::read_files(&layout.rulebook())?;
    let text = manifest(&files, sha256);
    let path = layout.rulebook().join(assemble::MANIFEST);
    let old: Option<Note> = std::fs::read_to_string(&path).ok().and_then(|t| t.parse().ok());
    let mut note = Note::new(&text)?;
    for signature in old.iter().filter(|n| n.unverified_text() == text).flat_map(Note::signatures) {
        if !signers.iter().any(|s| s.verifier().name() == signature.name()) {
            note.add(signature.clone());
        }
    }
    for signer in signers {
        note.add(signer.sign(&text)?);
    }
    Ok(std::fs::write(&path, note.to_string())?)
}
