//! The messages, in both directions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the host tells a runner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToRunner {
    /// At once, and once: what to load and how to serve it.
    Configure {
        /// The app's name.
        app: String,
        /// `stub` or `app`: which names the user's program uses.
        era: String,
        /// The function: name, module, qualname, web, max_inputs. Its shape is the manifest's, passed on as it is.
        function: Value,
        /// The container's id.
        container: String,
        /// What the process is.
        #[serde(default)]
        role: Role,
    },
    /// Finish what is held, run the lifespan's shutdown, exit with code 0.
    Drain,
}

/// What a runner's process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It serves the function.
    #[default]
    Serve,
    /// The zygote of an image: everything imported that is not the user's.
    Image,
    /// The zygote of a function's next versions: imported what its containers said, nothing of the user's.
    Session,
    /// The zygote of a function: imported, its web app built.
    Function,
}

/// What a runner tells the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromRunner {
    /// It is up, before any user code.
    Hello {
        /// `PROTOCOL` of the runner.
        protocol: u32,
        /// The interpreter's version: "3.11.7".
        python: String,
    },
    /// The user's module is imported.
    Imported {
        /// How long that took, in milliseconds.
        import_ms: f64,
    },
    /// Of a zygote: it can be forked from, if nothing is in the way.
    Lit {
        /// How long its imports took, in milliseconds.
        import_ms: f64,
        /// How long building the web app took, in milliseconds.
        app_ms: f64,
        /// What a fork would break: "the thread 'poll'".
        obstacles: Vec<String>,
        /// The user's import changed what later imports see, and needs them in its own order.
        #[serde(default)]
        changes: bool,
    },
    /// Of one that serves: what it has imported of its image, for a zygote of the function's next version.
    Modules {
        /// Their names, in the order of import.
        modules: Vec<String>,
    },
    /// The app is built, its lifespan has started: requests may come.
    Ready {
        /// How long that took since the import, in milliseconds.
        app_ms: f64,
    },
    /// It accepts no further requests and is about to exit.
    Draining,
    /// It cannot serve, and exits with code 1.
    Failed {
        /// Where it failed.
        stage: Stage,
        /// One line: "ModuleNotFoundError: No module named 'x'".
        summary: String,
        /// The user's traceback.
        traceback: String,
    },
}

/// What a runner was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Importing the user's module.
    Import,
    /// Building the web app.
    App,
    /// The app's own startup.
    Lifespan,
}

impl ToRunner {
    /// The message as its line, with the newline.
    pub fn to_line(&self) -> String {
        line(self)
    }
}

impl FromRunner {
    /// Reads one line, with or without its newline.
    pub fn from_line(line: &str) -> Result<FromRunner, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// The message as its line, with the newline. For stand-ins of a runner.
    pub fn to_line(&self) -> String {
        line(self)
    }
}

fn line<T: Serialize>(message: &T) -> String {
    let mut line =
        serde_json::to_string(message).expect("the messages have string keys and derived serializers");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configure_is_written_as_the_runner_reads_it() {
        let message = ToRunner::Configure {
            app: "hello".into(),
            era: "stub".into(),
            function: json!({"name": "f"}),
            container: "co-1".into(),
            role: Role::Serve,
        };
        let expected = json!({
            "type": "configure", "app": "hello", "era": "stub", "function": {"name": "f"}, "container": "co-1",
            "role": "serve"
        });
        assert_eq!(serde_json::from_str::<Value>(&message.to_line()).unwrap(), expected);
        assert_eq!(ToRunner::Drain.to_line(), "{\"type\":\"drain\"}\n");
    }

    #[test]
    fn what_runners_write_is_read() {
        let failed = r#"{"type":"failed","stage":"import","summary":"E","traceback":"T"}"#;
        let expected =
            FromRunner::Failed { stage: Stage::Import, summary: "E".into(), traceback: "T".into() };
        assert_eq!(FromRunner::from_line(failed).unwrap(), expected);
        // Fields that a newer runner may add do no harm.
        let ready = r#"{"type":"ready","app_ms":4.5,"new":1}"#;
        assert_eq!(FromRunner::from_line(ready).unwrap(), FromRunner::Ready { app_ms: 4.5 });
        assert!(FromRunner::from_line(r#"{"type":"surprise"}"#).is_err());
    }
}
