//! Commands about who may ask: actors, grants, cases, credentials.

use std::path::PathBuf;

use access::registry::ActorKind;
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use crossing::identify::{Session, Who};
use gateway::enclave;
use model::{ActorId, CaseKind, Country, Name, Purpose, SubjectId, UnixSeconds};
use serde_json::json;
use vault::accounts::state::Attested;
use vault::control;

use super::output::Output;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::{assemble, authority};

/// Longest grant, in hours: thirty days. Policy holds the shorter one for restricted data.
const GRANT_HOURS_MAX: u32 = 720;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    Employee,
    Service,
}

#[derive(Debug, Subcommand)]
pub(super) enum Actor {
    /// Put an employee or a service on record, signed by the operator.
    Add {
        /// Its name.
        #[arg(long)]
        id: String,
        /// What it is.
        #[arg(long, value_enum)]
        kind: Kind,
        /// The employing or operating entity, as the programme names it.
        #[arg(long)]
        employer: String,
        /// An employee is trained, a service attested.
        #[arg(long)]
        qualified: bool,
        /// A team; may be repeated.
        #[arg(long)]
        team: Vec<String>,
    },
    /// Give an employee a local account: prints a code with which they take it, once and within a day.
    Enrol {
        /// Their name.
        id: String,
        /// The country in which they work.
        #[arg(long)]
        at: Option<String>,
        /// Their device is managed and attested.
        #[arg(long)]
        attested_device: bool,
    },
}

impl Actor {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let (id, kind, employer, qualified, team) = match self {
            Self::Add { id, kind, employer, qualified, team } => (id, kind, employer, qualified, team),
            Self::Enrol { id, at, attested_device } => {
                return enrol(layout, output, id, at.as_deref(), *attested_device);
            }
        };
        let programme = assemble::rulebook(layout)?.rulebook.programme;
        let employer = Name::parse(employer)?;
        if !programme.employers.contains_key(&employer) {
            return Err(CommandError::Unknown { kind: "employer", name: employer.to_string() }.into());
        }
        let mut teams = team.iter().map(|t| Name::parse(t)).collect::<Result<Vec<_>, _>>()?;
        teams.sort();
        teams.dedup();
        let kind = match kind {
            Kind::Employee => ActorKind::Employee,
            Kind::Service => ActorKind::Service,
        };
        let actor = access::Actor { id: ActorId::parse(id)?, kind, employer, qualified: *qualified, teams };
        control::write(&layout.control(), "actor", id, &actor.text(), &assemble::operator(layout)?)?;
        output.data(&format!("`{id}` is on record"), &json!({ "actor": id }));
        Ok(())
    }
}

fn enrol(layout: &Layout, output: &Output, id: &str, at: Option<&str>, device: bool) -> Result<()> {
    let actor = ActorId::parse(id)?;
    let (now, _) = enclave::now();
    let on_record = control::Control::new(&layout.control(), assemble::verifier(layout, "operator")?);
    if on_record.actor(&actor, now)?.kind != ActorKind::Employee {
        return Err(CommandError::Rule("accounts are for employees; services show certificates").into());
    }
    let programme = assemble::rulebook(layout)?.rulebook.programme.name;
    let keys = vault::KeyService::open(&layout.keys(), programme.as_str())?;
    let accounts = vault::Accounts::new(&layout.control(), &keys, programme.as_str());
    let country = at.map(Country::parse).transpose()?.map(|c| c.to_string());
    let code = accounts.enrol(&actor, Attested { country, device }, now)?;
    output.data(
        &format!("give `{id}` this code, once and in person; it serves for a day: {code}"),
        &json!({ "actor": id, "code": code }),
    );
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum Grant {
    /// Issue a grant, signed by the operator.
    Issue(IssueGrant),
}

#[derive(Debug, Args)]
pub(super) struct IssueGrant {
    /// Its name.
    #[arg(long)]
    id: String,
    /// Who may use it.
    #[arg(long)]
    holder: String,
    /// Who approved it: somebody else.
    #[arg(long)]
    approver: String,
    /// Where the approver was.
    #[arg(long)]
    approver_country: String,
    /// For what.
    #[arg(long)]
    purpose: String,
    /// On which dataset.
    #[arg(long)]
    dataset: String,
    /// On this list of fields only.
    #[arg(long)]
    fields: Option<String>,
    /// On this person only.
    #[arg(long)]
    subject: Option<String>,
    /// For how many hours from now.
    #[arg(long, default_value_t = 2)]
    hours: u32,
}

impl Grant {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let Self::Issue(g) = self;
        if g.hours == 0 || g.hours > GRANT_HOURS_MAX {
            return Err(CommandError::Rule("a grant lasts 1 to 720 hours").into());
        }
        if g.holder == g.approver {
            return Err(CommandError::Rule("nobody approves their own grant").into());
        }
        let (now, _) = enclave::now();
        let purpose = Purpose::parse(&g.purpose)?;
        if matches!(purpose, Purpose::SelfAccess | Purpose::Migration | Purpose::Operation) {
            return Err(CommandError::Rule("no grant is issued for this purpose").into());
        }
        let grant = access::Grant {
            id: Name::parse(&g.id)?,
            holder: ActorId::parse(&g.holder)?,
            approver: ActorId::parse(&g.approver)?,
            approver_country: Country::parse(&g.approver_country)?,
            purpose,
            dataset: dataset(layout, &g.dataset)?,
            fields: g.fields.as_deref().map(Name::parse).transpose()?,
            subject: g.subject.as_deref().map(SubjectId::parse).transpose()?,
            not_before: now,
            not_after: now.plus(u64::from(g.hours) * 3600),
        };
        control::write(&layout.control(), "grant", &g.id, &grant.text(), &assemble::operator(layout)?)?;
        let until = grant.not_after.rfc3339();
        output.data(&format!("grant `{}` until {until}", g.id), &json!({ "grant": g.id, "until": until }));
        Ok(())
    }
}

fn dataset(layout: &Layout, name: &str) -> Result<Name> {
    let rulebook = assemble::rulebook(layout)?.rulebook;
    rulebook
        .catalogue
        .dataset(name)
        .map(|d| d.name.clone())
        .ok_or_else(|| CommandError::Unknown { kind: "dataset", name: name.to_owned() }.into())
}

#[derive(Debug, Subcommand)]
pub(super) enum Case {
    /// Open a support case about one person, signed by the operator; it serves two hours.
    Issue(IssueCase),
}

#[derive(Debug, Args)]
pub(super) struct IssueCase {
    /// Its number.
    #[arg(long)]
    id: String,
    /// Who works on it.
    #[arg(long)]
    engineer: String,
    /// Who approved it: somebody else.
    #[arg(long)]
    approver: String,
    /// Where the approver was.
    #[arg(long)]
    approver_country: String,
    /// What kind: videoNotShown, accountAccess, paymentFailed.
    #[arg(long)]
    kind: String,
    /// Whose.
    #[arg(long)]
    subject: String,
    /// The list of fields that serves it.
    #[arg(long)]
    fields: String,
    /// When it was approved, RFC 3339; now if not given. Two hours count from here.
    #[arg(long)]
    approved_at: Option<String>,
    /// Close it.
    #[arg(long)]
    closed: bool,
}

impl Case {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let Self::Issue(c) = self;
        if c.engineer == c.approver {
            return Err(CommandError::Rule("nobody approves their own case").into());
        }
        let (now, _) = enclave::now();
        let approved_at = c.approved_at.as_deref().map(UnixSeconds::parse).transpose()?.unwrap_or(now);
        if approved_at > now {
            return Err(CommandError::Rule("a case cannot be approved in the future").into());
        }
        let case = access::Case {
            id: Name::parse(&c.id)?,
            engineer: ActorId::parse(&c.engineer)?,
            approver: ActorId::parse(&c.approver)?,
            approver_country: Country::parse(&c.approver_country)?,
            kind: CaseKind::parse(&c.kind)?,
            subject: SubjectId::parse(&c.subject)?,
            fields: Name::parse(&c.fields)?,
            approved_at,
            open: !c.closed,
        };
        control::write(&layout.control(), "case", &c.id, &case.text(), &assemble::operator(layout)?)?;
        let until = approved_at.plus(access::evidence::CASE_SECONDS).rfc3339();
        output
            .data(&format!("case `{}` serves until {until}", c.id), &json!({ "case": c.id, "until": until }));
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Credential {
    /// Issue a client certificate, or a token.
    Issue(IssueCredential),
    /// Issue a certificate for a listener of this site's services.
    Listener {
        /// Host names.
        #[arg(long, required = true)]
        host: Vec<String>,
        /// Where to write `<OUT>.pem` and `<OUT>.key`.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct IssueCredential {
    /// For whom: employee, service or subject.
    #[arg(long, value_parser = ["employee", "service", "subject"])]
    kind: String,
    /// Their name, or the person's handle.
    #[arg(long)]
    id: String,
    /// The country in which the device was attested.
    #[arg(long)]
    at: Option<String>,
    /// The device is managed and attested.
    #[arg(long)]
    attested_device: bool,
    /// More than one factor was shown.
    #[arg(long)]
    mfa: bool,
    /// For how many hours.
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Print a bearer token instead of writing a certificate.
    #[arg(long)]
    token: bool,
    /// Where to write `<OUT>.pem` and `<OUT>.key`.
    #[arg(long, required_unless_present = "token")]
    out: Option<PathBuf>,
}

impl Credential {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        match self {
            Self::Issue(issue) => issue.run(layout, output),
            Self::Listener { host, out } => {
                let hosts: Vec<&str> = host.iter().map(String::as_str).collect();
                authority::listener(layout, out, &hosts)?;
                let pem = authority::file(out, "pem");
                output.data(&format!("`{}` and its key", pem.display()), &json!({ "certificate": pem }));
                Ok(())
            }
        }
    }
}

impl IssueCredential {
    fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let who = match self.kind.as_str() {
            "employee" => Who::Employee(ActorId::parse(&self.id)?),
            "service" => Who::Service(ActorId::parse(&self.id)?),
            _ => Who::Subject(SubjectId::parse(&self.id)?),
        };
        let session = Session {
            who,
            country: self.at.as_deref().map(Country::parse).transpose()?,
            device_country: None,
            network: None,
            device_managed: self.attested_device,
            device_attested: self.attested_device,
            strong: self.mfa,
        };
        let programme = assemble::rulebook(layout)?.rulebook.programme.name;
        if self.token {
            let not_after = enclave::now().0.plus(u64::from(self.hours) * 3600);
            let token = crossing::credential::token::issue(
                programme.as_str(),
                &session,
                not_after,
                &assemble::operator(layout)?,
            )?;
            output.data(&token, &json!({ "token": token, "until": not_after.rfc3339() }));
        } else if let Some(out) = &self.out {
            authority::credential(layout, programme.as_str(), &session, self.hours, out)?;
            let pem = authority::file(out, "pem");
            output.data(&format!("`{}` and its key", pem.display()), &json!({ "certificate": pem }));
        }
        Ok(())
    }
}
