//! Calls of the store, off the runtime's threads, and what its errors mean to who asked.

use pilotlight_api::error::{ApiError, Code};
use pilotlight_store::Error;

/// Runs a call of the store on a blocking thread.
pub(crate) async fn stored<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(outcome) => outcome.map_err(|error| told(&error)),
        Err(panic) => Err(ApiError::internal(&panic)),
    }
}

/// The error in the words of the API: who asked for too much is told so, and everything else is our fault.
fn told(error: &Error) -> ApiError {
    match error {
        Error::NotDeployed { name } => ApiError::no_app(name),
        Error::LabelTaken { .. } => ApiError::new(Code::Conflict, error.to_string()),
        Error::PortMismatch { .. } => ApiError::new(Code::Conflict, error.to_string())
            .hint("its URL never moves: `pilotlight app stop` the app, and deploy it again"),
        Error::NoPort { .. } => ApiError::new(Code::Conflict, error.to_string()).hint(
            "a deployed function keeps its port for good; start the server with another `PILOTLIGHT_PORT`",
        ),
        Error::Seal(seal) => ApiError::new(Code::Conflict, format!("the secrets cannot be sealed: {seal}")),
        Error::NoAnswer => ApiError::new(Code::Unavailable, error.to_string()).hint("try again"),
        Error::Open { .. } | Error::Corrupt { .. } | Error::TooNew { .. } | Error::Sqlite(_) => {
            ApiError::internal(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_can_change_is_no_internal_error() {
        let (app, function) = ("b".to_owned(), "f".to_owned());
        let key = "/s/secrets.key".into();
        let table = [
            (Error::LabelTaken { label: "shared".to_owned(), app: "a".to_owned() }, Code::Conflict),
            (Error::NoPort { app: app.clone(), function: function.clone() }, Code::Conflict),
            (Error::PortMismatch { port: 8001, app: app.clone(), function }, Code::Conflict),
            (Error::NotDeployed { name: app }, Code::NotFound),
            (Error::Seal(pilotlight_store::seal::Error::Malformed { path: key }), Code::Conflict),
            (Error::NoAnswer, Code::Unavailable),
        ];
        for (error, code) in table {
            let told = told(&error);
            assert_eq!(told.code, code, "{}", told.message);
        }
        let taken = told(&Error::LabelTaken { label: "shared".to_owned(), app: "a".to_owned() });
        assert_eq!(
            taken.message,
            "the label `shared` is used by the app `a`: choose another label, or stop that app"
        );
    }
}
