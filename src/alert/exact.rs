//! Values in JSON that come back as they were: as texts, since a number there may lose its last bit and can't be infinite.

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

/// Writes the value as the shortest text that is read as the same.
pub(super) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|value| value.to_string()).serialize(serializer)
}

/// Reads what [`serialize`] wrote.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse::<f64>().map_err(de::Error::custom)).transpose()
}
