use std::process::ExitCode;

use super::{
    Conclusion, Mode, RunError, objective_tests,
    run::{run, tell_error},
};
use crate::config::{Arguments, Code, ConfigError, ConfigFile, Plan, Server, Workload, check_environment, plan};

/// A bench target that says in code what it measures.
///
/// ```no_run
/// use tachometer::{Harness, Server, Workload};
///
/// fn main() -> std::process::ExitCode {
///     Harness::from_env()
///         .server(Server::url("http://127.0.0.1:8000").model("my-model"))
///         .workload(
///             Workload::new("chat").dataset("sharegpt.json").tokenizer("tokenizer.json").concurrency([1, 16, 64]).stream(true),
///         )
///         .main()
/// }
/// ```
///
/// Flags and environment variables win over code, and code over `tachometer.toml`. What the file can say, code can: its
/// `[workload.NAME]` are [`Harness::workload`], the settings above them [`Harness::server`], [`Harness::defaults`] and
/// [`Harness::with`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Harness {
    code: Code,
    is_program: bool,
}

impl Harness {
    /// Takes flags, `TACHOMETER_*` variables and `tachometer.toml` too, when it runs.
    pub fn from_env() -> Self {
        Self::default()
    }

    /// As the program `tachometer`, which no cargo calls: it measures without being told to, and writes to `./tachometer/`.
    pub fn program() -> Self {
        Self { code: Code::default(), is_program: true }
    }

    /// Measures this server.
    pub fn server(mut self, server: Server) -> Self {
        self.code.set_server(server);
        self
    }

    /// Runs this workload; one of the same name in the file gives what is left open here.
    pub fn workload(mut self, workload: Workload) -> Self {
        self.code.add_workload(workload);
        self
    }

    /// What holds for all workloads that say nothing else; its name means nothing.
    pub fn defaults(mut self, defaults: Workload) -> Self {
        self.code.set_defaults(defaults);
        self
    }

    /// The settings of the whole run: `.with(|run| run.csv("passes.csv").confidence_level(0.99))`.
    pub fn with(mut self, set: impl FnOnce(Code) -> Code) -> Self {
        self.code = set(self.code);
        self
    }

    /// Reads the command line, and lists, tests or measures.
    pub fn main(self) -> ExitCode {
        let arguments = match self.is_program {
            true => Arguments::of_this_program(),
            false => Arguments::of_this_process(),
        };
        match arguments {
            Ok(arguments) => self.run(&arguments).exit_code(),
            Err(e) => {
                // Help and version come here too, and are no errors. A closed pipe is no reason to fail.
                _ = e.print();
                ExitCode::from(e.exit_code() as u8)
            }
        }
    }

    /// The `main` of a test target with `harness = false`, see [`objectives`](super::objectives()).
    pub fn objectives(self) -> ExitCode {
        objective_tests::main(Box::new(move |arguments| self.plan(arguments)))
    }

    /// Does what the arguments say. What goes wrong is told on stderr as it happens.
    pub fn run(self, arguments: &Arguments) -> Conclusion {
        match self.plan(arguments) {
            Ok(plan) => run(arguments, &plan),
            Err(e) => {
                let error = RunError::from(e);
                tell_error(&error);
                Conclusion { reports: Vec::new(), error: Some(error) }
            }
        }
    }

    /// What the arguments, code and `tachometer.toml` say, checked.
    ///
    /// # Errors
    /// Where one of them makes no sense.
    pub fn plan(&self, arguments: &Arguments) -> Result<Plan, ConfigError> {
        arguments.check()?;
        check_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        let file = ConfigFile::find(arguments.config.as_deref())?;
        // `cargo test --benches` appends nothing: then nothing is measured, and above all no live server is touched.
        let mut plan = plan(arguments, &self.code, &file, Mode::of(arguments) == Mode::Test)?;
        if self.is_program {
            plan.out.get_or_insert_with(|| "tachometer".into());
        }
        Ok(plan)
    }
}
