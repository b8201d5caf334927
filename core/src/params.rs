//! Parameters of methods: one static list per method, from which the form, the URL keys, the
//! documentation and the property tests are derived.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One parameter of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParamSpec {
    /// Key in the configuration and the URL; lower case, unique within a method.
    pub key: &'static str,
    /// Label in the form.
    pub label: &'static str,
    /// One sentence of help.
    pub help: &'static str,
    /// Unit, or "" for a pure number.
    pub unit: &'static str,
    /// Kind, range and default.
    pub kind: ParamKind,
}

/// Kind, range and default of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParamKind {
    /// A whole number in `min..=max`.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Default.
        default: i64,
    },
    /// A real number in `min..=max`.
    Float {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
        /// Default.
        default: f64,
        /// Whether a slider should move in powers.
        log: bool,
    },
    /// A switch.
    Bool {
        /// Default.
        default: bool,
    },
    /// One of a list of (value, label).
    Choice {
        /// The values with their labels.
        options: &'static [(&'static str, &'static str)],
        /// The default value.
        default: &'static str,
    },
    /// Words that are written in.
    Words {
        /// Default.
        default: &'static str,
        /// Characters at most.
        longest: usize,
    },
}

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ParamValue {
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A switch.
    Bool(bool),
    /// A choice.
    Text(String),
}

impl std::fmt::Display for ParamValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{}", u8::from(*v)),
            Self::Text(v) => write!(f, "{v}"),
        }
    }
}

impl ParamSpec {
    /// A whole number.
    pub const fn int(
        key: &'static str,
        label: &'static str,
        min: i64,
        max: i64,
        default: i64,
        help: &'static str,
    ) -> Self {
        Self { key, label, help, unit: "", kind: ParamKind::Int { min, max, default } }
    }

    /// A real number.
    pub const fn float(
        key: &'static str,
        label: &'static str,
        min: f64,
        max: f64,
        default: f64,
        help: &'static str,
    ) -> Self {
        Self { key, label, help, unit: "", kind: ParamKind::Float { min, max, default, log: false } }
    }

    /// A switch.
    pub const fn bool(key: &'static str, label: &'static str, default: bool, help: &'static str) -> Self {
        Self { key, label, help, unit: "", kind: ParamKind::Bool { default } }
    }

    /// One of a list.
    pub const fn choice(
        key: &'static str,
        label: &'static str,
        options: &'static [(&'static str, &'static str)],
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self { key, label, help, unit: "", kind: ParamKind::Choice { options, default } }
    }

    /// Words that are written in.
    pub const fn words(
        key: &'static str,
        label: &'static str,
        default: &'static str,
        longest: usize,
        help: &'static str,
    ) -> Self {
        Self { key, label, help, unit: "", kind: ParamKind::Words { default, longest } }
    }

    /// With a unit.
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// With a logarithmic slider.
    pub const fn log(mut self) -> Self {
        if let ParamKind::Float { min, max, default, .. } = self.kind {
            self.kind = ParamKind::Float { min, max, default, log: true };
        }
        self
    }

    /// The default.
    pub fn default(&self) -> ParamValue {
        match self.kind {
            ParamKind::Int { default, .. } => ParamValue::Int(default),
            ParamKind::Float { default, .. } => ParamValue::Float(default),
            ParamKind::Bool { default } => ParamValue::Bool(default),
            ParamKind::Choice { default, .. } | ParamKind::Words { default, .. } => {
                ParamValue::Text(default.into())
            }
        }
    }

    /// Reads a value as it stands in a URL or a form.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn parse(&self, text: &str) -> Result<ParamValue> {
        let text = text.trim();
        let wrong = |message: String| Error::config(self.key, message);
        let value = match self.kind {
            ParamKind::Int { min, max, .. } => ParamValue::Int(
                text.parse()
                    .map_err(|_| wrong(format!("“{text}” is not a whole number between {min} and {max}")))?,
            ),
            ParamKind::Float { min, max, .. } => ParamValue::Float(
                text.parse()
                    .map_err(|_| wrong(format!("“{text}” is not a number between {min} and {max}")))?,
            ),
            ParamKind::Bool { .. } => ParamValue::Bool(match text {
                "1" | "true" | "on" => true,
                "0" | "false" | "off" => false,
                _ => return Err(wrong(format!("“{text}” is neither 1 nor 0"))),
            }),
            ParamKind::Choice { .. } | ParamKind::Words { .. } => ParamValue::Text(text.into()),
        };
        self.check(&value)?;
        Ok(value)
    }

    /// Checks kind and range.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn check(&self, value: &ParamValue) -> Result<()> {
        let wrong = |message: String| Err(Error::config(self.key, message));
        match (self.kind, value) {
            (ParamKind::Int { min, max, .. }, ParamValue::Int(v)) if (min..=max).contains(v) => Ok(()),
            (ParamKind::Int { min, max, .. }, v) => {
                wrong(format!("{v} is not a whole number between {min} and {max}"))
            }
            (ParamKind::Float { min, max, .. }, ParamValue::Float(v)) if (min..=max).contains(v) => Ok(()),
            (ParamKind::Float { min, max, .. }, v) => {
                wrong(format!("{v} is not a number between {min} and {max}"))
            }
            (ParamKind::Bool { .. }, ParamValue::Bool(_)) => Ok(()),
            (ParamKind::Bool { .. }, v) => wrong(format!("{v} is neither on nor off")),
            (ParamKind::Choice { options, .. }, ParamValue::Text(v))
                if options.iter().any(|(o, _)| o == v) =>
            {
                Ok(())
            }
            (ParamKind::Choice { options, .. }, v) => {
                let known: Vec<&str> = options.iter().map(|(o, _)| *o).collect();
                wrong(format!("“{v}” is not one of {}", known.join(", ")))
            }
            (ParamKind::Words { longest, .. }, ParamValue::Text(v)) if v.chars().count() <= longest => Ok(()),
            (ParamKind::Words { longest, .. }, ParamValue::Text(v)) => {
                wrong(format!("it has {} characters; {longest} are the most", v.chars().count()))
            }
            (ParamKind::Words { .. }, v) => wrong(format!("{v} is not a text")),
        }
    }
}

/// Values by key. A key that is absent has its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub BTreeMap<String, ParamValue>);

impl Config {
    /// The defaults of a list of parameters.
    pub fn defaults(specs: &[ParamSpec]) -> Self {
        Self(specs.iter().map(|s| (s.key.to_owned(), s.default())).collect())
    }

    /// With one value set; for tests and labs.
    pub fn with(mut self, key: &str, value: ParamValue) -> Self {
        self.0.insert(key.into(), value);
        self
    }

    /// Checks every value against its specification.
    ///
    /// # Errors
    /// Names the first key that is unknown or wrong.
    pub fn check(&self, specs: &[ParamSpec]) -> Result<()> {
        for (key, value) in &self.0 {
            match specs.iter().find(|s| s.key == key) {
                Some(spec) => spec.check(value)?,
                None => return Err(Error::config(key, "there is no such setting here")),
            }
        }
        Ok(())
    }

    fn get(&self, specs: &[ParamSpec], key: &str) -> ParamValue {
        self.0
            .get(key)
            .cloned()
            .or_else(|| specs.iter().find(|s| s.key == key).map(ParamSpec::default))
            .unwrap_or(ParamValue::Int(0))
    }

    /// A whole number (the default where absent).
    pub fn int(&self, specs: &[ParamSpec], key: &str) -> i64 {
        match self.get(specs, key) {
            ParamValue::Int(v) => v,
            ParamValue::Float(v) => v as i64,
            ParamValue::Bool(v) => i64::from(v),
            ParamValue::Text(_) => 0,
        }
    }

    /// A whole number that counts something (the default where absent).
    pub fn count(&self, specs: &[ParamSpec], key: &str) -> usize {
        usize::try_from(self.int(specs, key)).unwrap_or(0)
    }

    /// A real number (the default where absent).
    pub fn float(&self, specs: &[ParamSpec], key: &str) -> f64 {
        match self.get(specs, key) {
            ParamValue::Float(v) => v,
            ParamValue::Int(v) => v as f64,
            _ => 0.0,
        }
    }

    /// A switch (the default where absent).
    pub fn bool(&self, specs: &[ParamSpec], key: &str) -> bool {
        matches!(self.get(specs, key), ParamValue::Bool(true))
    }

    /// A choice (the default where absent).
    pub fn text(&self, specs: &[ParamSpec], key: &str) -> String {
        self.get(specs, key).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[ParamSpec] = &[
        ParamSpec::int("n", "N", 1, 9, 3, "A number."),
        ParamSpec::choice("kind", "Kind", &[("a", "A"), ("b", "B")], "a", "A choice."),
    ];

    #[test]
    fn values_round_trip_and_bad_ones_are_answered_in_words() {
        for spec in SPECS {
            let default = spec.default();
            assert_eq!(spec.parse(&default.to_string()), Ok(default));
        }
        let message = SPECS[0].parse("ten").unwrap_err().to_string();
        assert!(message.contains("“ten” is not a whole number between 1 and 9"), "{message}");
        assert!(SPECS[1].parse("c").unwrap_err().to_string().contains("a, b"));
        assert!(Config::default().with("x", ParamValue::Int(1)).check(SPECS).is_err());
        assert_eq!(Config::default().int(SPECS, "n"), 3);
    }
}
