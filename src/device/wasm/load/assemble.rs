//! Puts a surveyed module together again.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{CodeSection, ExportKind, ExportSection, Module, RawSection, SectionId, TypeSection};
use wasmparser::{BinaryReader, FunctionBody, Parser, Payload, TypeSectionReader, Validator};

use super::exceptions::{NewTypes, rewrite};
use super::survey::{FEATURES, Survey};
use super::{FUNCTIONS, GLOBALS, LoadError, MEMORY, START, TABLES};

/// The module `bytes`, with exceptions in the standard form and everything that a snapshot holds exported. Custom sections
/// are left out.
pub(super) fn assemble(bytes: &[u8], survey: &Survey) -> Result<Vec<u8>, LoadError> {
    let (code, types) = code(bytes, survey)?;
    let exports = exports(bytes, survey)?;
    let mut module = Module::new();
    let mut are_exported = false;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else { continue };
        if id == SectionId::Custom as u8 {
            continue;
        }
        if !are_exported && follows_exports(id) {
            module.section(&exports);
            are_exported = true;
        }
        match &payload {
            Payload::TypeSection(section) => {
                module.section(&with_types(section.clone(), &types)?);
            }
            Payload::ExportSection(_) | Payload::StartSection { .. } => {}
            Payload::CodeSectionStart { .. } => {
                module.section(&code);
            }
            _ => {
                let data = bytes.get(range).ok_or_else(|| LoadError::Rewrite("a section is cut off".to_owned()))?;
                module.section(&RawSection { id, data });
            }
        }
    }
    if !are_exported {
        module.section(&exports);
    }
    let assembled = module.finish();
    // What is added may be too much of something: of locals in a function, of results of a block.
    Validator::new_with_features(FEATURES).validate_all(&assembled).map_err(failed)?;
    Ok(assembled)
}

/// Whether a section stands after that of the exports. Except for tags, data counts and custom ones, their numbers are their
/// order.
fn follows_exports(id: u8) -> bool {
    id > SectionId::Export as u8 && id != SectionId::Tag as u8
}

fn failed(error: impl std::fmt::Display) -> LoadError {
    LoadError::Rewrite(error.to_string())
}

fn code(bytes: &[u8], survey: &Survey) -> Result<(CodeSection, NewTypes), LoadError> {
    let (mut code, mut types) = (CodeSection::new(), NewTypes::default());
    for (index, (range, is_old)) in (survey.imported..).zip(&survey.bodies) {
        let body = bytes.get(range.clone()).ok_or_else(|| failed("a function is cut off"))?;
        if !is_old {
            code.raw(body);
            continue;
        }
        let of_type = survey.functions.get(index as usize).ok_or_else(|| failed("a function has no type"))?;
        let body = FunctionBody::new(BinaryReader::new(body, range.start));
        code.function(&rewrite(survey, *of_type, &body, &mut types).map_err(|error| error.within(index))?);
    }
    Ok((code, types))
}

fn with_types(section: TypeSectionReader<'_>, types: &NewTypes) -> Result<TypeSection, LoadError> {
    let mut all = TypeSection::new();
    RoundtripReencoder.parse_type_section(&mut all, section).map_err(failed)?;
    for (params, results) in &types.added {
        all.ty().function(params.iter().copied(), results.iter().copied());
    }
    Ok(all)
}

fn exports(bytes: &[u8], survey: &Survey) -> Result<ExportSection, LoadError> {
    let mut exports = ExportSection::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::ExportSection(section) = payload? {
            RoundtripReencoder.parse_export_section(&mut exports, section).map_err(failed)?;
        }
    }
    exports.export(MEMORY, ExportKind::Memory, 0);
    if let Some(start) = survey.start {
        exports.export(START, ExportKind::Func, start);
    }
    for index in &survey.mutable_globals {
        exports.export(&format!("{GLOBALS}{index}"), ExportKind::Global, *index);
    }
    if survey.changes_tables {
        for (index, _) in (0u32..).zip(&survey.tables) {
            exports.export(&format!("{TABLES}{index}"), ExportKind::Table, index);
        }
        for index in &survey.referable {
            exports.export(&format!("{FUNCTIONS}{index}"), ExportKind::Func, *index);
        }
    }
    Ok(exports)
}
