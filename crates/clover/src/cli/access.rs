//! Commands about who may ask: actors and credentials.

use std::path::PathBuf;

use access::registry::ActorKind;
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use crossing::identify::{Session, Who};
use gateway::enclave;
use model::{ActorId, Country, Name, SubjectId};
use serde_json::json;
use vault::accounts::state::Attested;
use vault::control;

use super::output::Output;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::{assemble, authority, keys};

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
        /// Somebody who stands in for them; may be repeated. They approve nothing of each other's.
        #[arg(long)]
        deputy: Vec<String>,
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
        let (id, kind, employer, qualified, team, deputy) = match self {
            Self::Add { id, kind, employer, qualified, team, deputy } => {
                (id, kind, employer, qualified, team, deputy)
            }
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
        let mut deputies = deputy.iter().map(|d| ActorId::parse(d)).collect::<Result<Vec<_>, _>>()?;
        deputies.sort();
        deputies.dedup();
        let (id_of, qualified) = (ActorId::parse(id)?, *qualified);
        let actor = access::Actor { id: id_of, kind, employer, qualified, teams, deputies };
        control::write(&layout.control(), "actor", id, &actor.text(), &assemble::operator(layout)?)?;
        output.data(&format!("`{id}` is on record"), &json!({ "actor": id }));
        Ok(())
    }
}

fn enrol(layout: &Layout, output: &Output, id: &str, at: Option<&str>, device: bool) -> Result<()> {
    let actor = ActorId::parse(id)?;
    let (now, _) = enclave::now();
    let on_record = control::Notes::new(&layout.control(), assemble::verifier(layout, "operator")?);
    if on_record.actor(&actor, now)?.kind != ActorKind::Employee {
        return Err(CommandError::Rule("accounts are for employees; services show certificates").into());
    }
    let programme = assemble::rulebook(layout)?.rulebook.programme.name;
    let keys = keys::load(layout, &programme)?;
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
