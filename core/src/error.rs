//! One error type whose messages speak to the person in front of the page: what, where, what to do.

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Every message names the thing it is about.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A node's inputs do not fit its operator.
    #[error("node “{node}” ({op}): {message}")]
    Shape {
        /// The node's name.
        node: String,
        /// Its operator.
        op: String,
        /// What does not fit, with the shapes.
        message: String,
    },
    /// The graph as a whole is not one (a cycle, a missing tensor, an unknown operator).
    #[error("the graph “{graph}” cannot be used: {message}")]
    Graph {
        /// The graph's name.
        graph: String,
        /// What is wrong.
        message: String,
    },
    /// A setting is out of range, unknown or of the wrong kind.
    #[error("setting “{key}”: {message}")]
    Config {
        /// The setting's key.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A file is not what it says it is.
    #[error("“{name}” cannot be read: {message}")]
    Format {
        /// The file's name, or what it was taken for.
        name: String,
        /// Where it breaks and what was expected there.
        message: String,
    },
    /// Data does not fit its task.
    #[error("the data set “{name}”: {message}")]
    Data {
        /// The data set's name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A number stopped being one.
    #[error("{0}")]
    Numeric(String),
    /// A job or a run was stopped by the visitor. Not a fault; nothing is shown.
    #[error("stopped")]
    Cancelled,
    /// Something that a method cannot do with this model.
    #[error("{0}")]
    Unsupported(String),
}

impl Error {
    /// A [`Error::Shape`] for a node.
    pub fn shape(node: &crate::model::Node, message: impl Into<String>) -> Self {
        Self::Shape { node: node.name.clone(), op: node.op.clone(), message: message.into() }
    }

    /// A [`Error::Config`].
    pub fn config(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { key: key.into(), message: message.into() }
    }

    /// A [`Error::Format`].
    pub fn format(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Format { name: name.into(), message: message.into() }
    }
}
