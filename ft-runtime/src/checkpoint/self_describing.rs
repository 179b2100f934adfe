//! A recorded value without its type, and how an old one becomes a new one.

use std::error::Error;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Makes a value of an older schema one of this code: gets the schema that it was recorded with.
pub type Migrate = fn(u16, Value) -> Result<Value, ValueError>;

/// A recorded value that describes itself: what a migration gets and gives back.
///
/// Read it as the type that it had, or change its fields by their names. Whoever goes through the versions one by one
/// can read every one of them:
///
/// ```
/// use ft_runtime::checkpoint::{Value, ValueError};
///
/// /// 1: `cents` was called `amount`. 2: it has a currency.
/// fn migrate(from: u16, mut receipt: Value) -> Result<Value, ValueError> {
///     if from < 1 {
///         receipt.rename("amount", "cents")?;
///     }
///     if from < 2 {
///         receipt.set("currency", "EUR")?;
///     }
///     Ok(receipt)
/// }
///
/// #[derive(serde::Serialize)]
/// struct Old { amount: u32 }
/// #[derive(serde::Deserialize)]
/// struct Receipt { cents: u32, currency: String }
///
/// let receipt: Receipt = migrate(0, Value::encode(&Old { amount: 500 })?)?.decode()?;
/// assert_eq!((receipt.cents, &*receipt.currency), (500, "EUR"));
/// # Ok::<(), ValueError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Value(rmpv::Value);

/// Why a [`Value`] is not what a migration takes it for; or an error of the migration's own, from a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError(String);

impl Value {
    /// The value as it would be recorded.
    ///
    /// # Errors
    ///
    /// What its `Serialize` says.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, ValueError> {
        let bytes = rmp_serde::to_vec_named(value).map_err(|error| ValueError(error.to_string()))?;
        Self::from_payload(&bytes)
    }

    /// The value as a type.
    ///
    /// # Errors
    ///
    /// That it does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &self.0).map_err(|error| ValueError(error.to_string()))?;
        rmp_serde::from_slice(&bytes).map_err(|error| ValueError(error.to_string()))
    }

    /// A field of a struct, or the entry of a map with a text for its key; `None` if there is none.
    ///
    /// # Errors
    ///
    /// That this is neither a struct nor a map.
    pub fn get(&self, field: &str) -> Result<Option<Self>, ValueError> {
        let found = self.entries(field)?.iter().find(|(key, _)| key.as_str() == Some(field));
        Ok(found.map(|(_, value)| Self(value.clone())))
    }

    /// Gives a field a value, whether it was there or not.
    ///
    /// # Errors
    ///
    /// That this is neither a struct nor a map, or what the value's `Serialize` says.
    pub fn set<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) -> Result<(), ValueError> {
        let Self(value) = Self::encode(value)?;
        let entries = self.entries_mut(field)?;
        match entries.iter_mut().find(|(key, _)| key.as_str() == Some(field)) {
            Some((_, old)) => *old = value,
            None => entries.push((field.into(), value)),
        }
        Ok(())
    }

    /// Takes a field out; `None` if there is none.
    ///
    /// # Errors
    ///
    /// That this is neither a struct nor a map.
    pub fn remove(&mut self, field: &str) -> Result<Option<Self>, ValueError> {
        let entries = self.entries_mut(field)?;
        let at = entries.iter().position(|(key, _)| key.as_str() == Some(field));
        Ok(at.map(|at| Self(entries.remove(at).1)))
    }

    /// Calls a field by another name. Without effect if there is none.
    ///
    /// # Errors
    ///
    /// That this is neither a struct nor a map, or has a field of the new name already.
    pub fn rename(&mut self, field: &str, to: &str) -> Result<(), ValueError> {
        let entries = self.entries_mut(field)?;
        if entries.iter().any(|(key, _)| key.as_str() == Some(to)) {
            return Err(ValueError(format!("`{field}` cannot be renamed, there is a field `{to}` already")));
        }
        if let Some((key, _)) = entries.iter_mut().find(|(key, _)| key.as_str() == Some(field)) {
            *key = to.into();
        }
        Ok(())
    }

    /// Changes each element of a list.
    ///
    /// # Errors
    ///
    /// That this is no list, or the first error of `change`.
    pub fn for_each<E: From<ValueError>>(
        &mut self,
        mut change: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let kind = self.kind();
        let rmpv::Value::Array(elements) = &mut self.0 else {
            return Err(ValueError(format!("this is {kind}, and a list is wanted")).into());
        };
        for element in elements {
            let mut value = Self(std::mem::replace(element, rmpv::Value::Nil));
            let changed = change(&mut value);
            *element = value.0;
            changed?;
        }
        Ok(())
    }

    /// The value in MessagePack bytes.
    pub(super) fn from_payload(mut bytes: &[u8]) -> Result<Self, ValueError> {
        let value = rmpv::decode::read_value(&mut bytes).map_err(|error| ValueError(error.to_string()))?;
        if bytes.is_empty() { Ok(Self(value)) } else { Err(ValueError("there is more than one value".into())) }
    }

    fn entries(&self, field: &str) -> Result<&Vec<(rmpv::Value, rmpv::Value)>, ValueError> {
        match &self.0 {
            rmpv::Value::Map(entries) => Ok(entries),
            _ => Err(self.without_fields(field)),
        }
    }

    fn entries_mut(&mut self, field: &str) -> Result<&mut Vec<(rmpv::Value, rmpv::Value)>, ValueError> {
        let without = self.without_fields(field);
        match &mut self.0 {
            rmpv::Value::Map(entries) => Ok(entries),
            _ => Err(without),
        }
    }

    fn without_fields(&self, field: &str) -> ValueError {
        ValueError(format!("this is {} and has no field `{field}`", self.kind()))
    }

    fn kind(&self) -> &'static str {
        match &self.0 {
            rmpv::Value::Nil => "nothing",
            rmpv::Value::Boolean(_) => "a truth value",
            rmpv::Value::Integer(_) | rmpv::Value::F32(_) | rmpv::Value::F64(_) => "a number",
            rmpv::Value::String(_) => "a text",
            rmpv::Value::Binary(_) => "bytes",
            rmpv::Value::Array(_) => "a list",
            rmpv::Value::Map(_) => "a map",
            rmpv::Value::Ext(..) => "an extension",
        }
    }
}

/// As JSON would have it, roughly.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl ValueError {
    /// An error of the migration's own, for a reason that the error of the step or the run will name.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl From<String> for ValueError {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for ValueError {
    fn from(reason: &str) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ValueError {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        cents: u32,
        note: Option<String>,
    }

    fn lines() -> Vec<Line> {
        vec![Line { cents: 1, note: None }, Line { cents: 2, note: Some("two".into()) }]
    }

    #[test]
    fn a_value_is_what_it_was_encoded_from() {
        let value = Value::encode(&lines()).unwrap();
        assert_eq!(value.decode(), Ok(lines()));
        assert!(value.decode::<u8>().is_err());
        assert_eq!(Value::encode(&f64::INFINITY).unwrap().decode(), Ok(f64::INFINITY));
    }

    #[test]
    fn fields_are_changed_by_their_names() {
        let mut value = Value::encode(&lines()).unwrap();
        let changed: Result<(), ValueError> = value.for_each(|line| {
            line.rename("note", "remark")?;
            let cents: u32 = line.remove("cents")?.map_or(Ok(0), |cents| cents.decode())?;
            line.set("euros", &(cents * 100))
        });
        assert_eq!(changed, Ok(()));
        assert_eq!(format!("{value:?}"), r#"[{"remark": nil, "euros": 100}, {"remark": "two", "euros": 200}]"#);
    }

    #[test]
    fn a_change_that_does_not_fit_says_what_there_is() {
        let mut value = Value::encode("text").unwrap();
        assert_eq!(value.set("a", &1).unwrap_err().to_string(), "this is a text and has no field `a`");
        let mut line = Value::encode(&lines()[0]).unwrap();
        assert!(line.rename("cents", "note").unwrap_err().to_string().contains("a field `note` already"));
        let refused: Result<(), ValueError> = line.for_each(|_| Ok(()));
        assert_eq!(refused.unwrap_err().to_string(), "this is a map, and a list is wanted");
    }
}
