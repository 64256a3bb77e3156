//! Messages and definitions as tables of a script.

use mlua::{Lua, Table};

use crate::ids::ProcessId;
use crate::process::{DeviceKind, Entry, Tag};

/// Fields that no tag stands in for, there or not.
const FIELDS: [&str; 10] = ["Id", "From", "Owner", "Target", "Anchor", "Data", "Timestamp", "Slot", "Tags", "Device"];

/// The message of an entry: its fields, `Tags` by name (the last of a name counts), and each tag as a field.
pub(super) fn message_table(lua: &Lua, entry: &Entry) -> mlua::Result<Table> {
    let message = &entry.message;
    let table = lua.create_table_with_capacity(0, FIELDS.len() + message.tags.len())?;
    table.raw_set("Id", message.id.as_str())?;
    table.raw_set("From", message.from.as_str())?;
    table.raw_set("Owner", message.owner.as_str())?;
    table.raw_set("Target", message.target.as_str())?;
    if !message.anchor.is_empty() {
        table.raw_set("Anchor", message.anchor.as_str())?;
    }
    table.raw_set("Data", message.data.as_str())?;
    table.raw_set("Timestamp", integer(message.timestamp))?;
    table.raw_set("Slot", integer(entry.slot.0))?;
    add_tags(lua, &table, &message.tags)?;
    Ok(table)
}

/// The definition as `init` gets it: `Id` of the process, `Device`, `Tags`, and each tag as a field.
pub(super) fn definition_table(lua: &Lua, process: &ProcessId, tags: &[Tag]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 3 + tags.len())?;
    table.raw_set("Id", process.as_str())?;
    table.raw_set("Device", DeviceKind::Lua.as_str())?;
    add_tags(lua, &table, tags)?;
    Ok(table)
}

fn add_tags(lua: &Lua, table: &Table, tags: &[Tag]) -> mlua::Result<()> {
    let by_name = lua.create_table_with_capacity(0, tags.len())?;
    for tag in tags {
        let value = lua.create_string(&tag.value)?;
        by_name.raw_set(tag.name.as_str(), &value)?;
        if !FIELDS.contains(&tag.name.as_str()) {
            table.raw_set(tag.name.as_str(), value)?;
        }
    }
    table.raw_set("Tags", by_name)
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
