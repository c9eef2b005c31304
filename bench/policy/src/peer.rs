//! The peer: regorus, compiled to its own form and to its virtual machine.

use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{CompiledPolicy, Engine, Value};
use serde_json::json;

use crate::ours::{self, Request};

pub(crate) struct Rego {
    compiled: CompiledPolicy,
    vm: RegoVM,
}

const ENTRY: &str = "data.clover.allow";

impl Rego {
    pub(crate) fn new(teams: usize, fields: usize) -> Self {
        let mut text = include_str!("policy.rego").to_owned();
        for n in 0..teams {
            text += &format!(
                "\npermitted if {{\n\tinput.action == \"{}\"\n\t\"team-{n}\" in input.teams\n\tclass == \"allowable\"\n\tinput.trained\n\tinput.purpose == \"research\"\n\tlive\n}}\n",
                ours::team_action(n)
            );
        }
        let names = |list: &[&str]| {
            list.iter().map(|c| ((*c).to_owned(), json!(true))).collect::<serde_json::Map<_, _>>()
        };
        let field = |n: usize| {
            let (class, lists) = ours::field(n);
            (ours::field_name(n), json!({ "class": class, "lists": lists }))
        };
        let data = json!({
            "region": names(&["IE", "NO"]),
            "destinations": names(&["SG", "US", "CN"]),
            "heightened": names(&["CN"]),
            "fields": (0..fields).map(field).collect::<serde_json::Map<_, _>>(),
        });
        let data = Value::from_json_str(&data.to_string()).unwrap();
        let mut engine = Engine::new();
        engine.add_policy("policy.rego".to_owned(), text).unwrap();
        engine.add_data(data.clone()).unwrap();
        let compiled = engine.compile_with_entrypoint(&ENTRY.into()).unwrap();
        let program = Compiler::compile_from_policy(&compiled, &[ENTRY]).unwrap();
        let mut vm = RegoVM::new();
        vm.load_program(Arc::clone(&program));
        vm.set_data(data).unwrap();
        Self { compiled, vm }
    }

    pub(crate) fn decide(&self, request: &Request) -> bool {
        self.compiled.eval_with_input(request.input.clone()).unwrap() == Value::from(true)
    }

    pub(crate) fn decide_vm(&mut self, request: &Request) -> bool {
        self.vm.set_input(request.input.clone());
        self.vm.execute_entry_point_by_name(ENTRY).unwrap() == Value::from(true)
    }

    /// Each column by itself: there is nothing that says which are alike.
    pub(crate) fn decide_columns(&self, request: &[Request], columns: usize) -> Vec<bool> {
        request.iter().take(columns).map(|column| self.decide(column)).collect()
    }
}
