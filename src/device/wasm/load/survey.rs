//! What is in a module, once it is known to be valid and served.

use std::collections::BTreeSet;
use std::ops::Range;

use wasmparser::{
    CompositeInnerType, ConstExpr, ElementItems, ElementSectionReader, Export, ExternalKind, FuncToValidate, FuncType,
    FuncValidatorAllocations, FunctionBody, GlobalSectionReader, Operator, Parser, Payload, RefType, TypeRef, ValType,
    ValidPayload, Validator, ValidatorResources, WasmFeatures,
};

use super::nesting::Nesting;
use super::{LoadError, RESERVED};

/// What modules may use: nothing whose results depend on the machine or on timing. The old form of exception handling is
/// rewritten before the engine sees it.
pub(super) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::EXCEPTIONS)
    .union(WasmFeatures::LEGACY_EXCEPTIONS)
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::MEMORY64)
    .union(WasmFeatures::EXTENDED_CONST);

/// Tables are listed one by one in a snapshot.
const TABLES_MOST: usize = 16;

/// What is in a module.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The function types, by index.
    pub(super) types: Vec<FuncType>,
    /// The type of each function, imported ones first.
    pub(super) functions: Vec<u32>,
    /// How many functions are imported.
    pub(super) imported: u32,
    /// The type of each tag.
    pub(super) tags: Vec<u32>,
    /// Indices of globals that change.
    pub(super) mutable_globals: Vec<u32>,
    /// The element type of each table.
    pub(super) tables: Vec<RefType>,
    /// Whether the code changes tables.
    pub(super) changes_tables: bool,
    /// Functions that a table can hold.
    pub(super) referable: BTreeSet<u32>,
    /// The bytes of each body, and whether it handles exceptions in the old form.
    pub(super) bodies: Vec<(Range<usize>, bool)>,
    /// The start function.
    pub(super) start: Option<u32>,
    has_memory: Option<bool>,
    handle: Option<u32>,
    malloc: Option<u32>,
}

impl Survey {
    /// Validates the module `bytes` and looks at what is in it.
    pub(super) fn of(bytes: &[u8], is_provided: impl Fn(&str, &str) -> bool) -> Result<Self, LoadError> {
        let mut survey = Self::default();
        let mut validator = Validator::new_with_features(FEATURES);
        let mut allocations = FuncValidatorAllocations::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
                let index = function.index;
                let seen = survey.body(function, &body, allocations);
                allocations = seen.map_err(|error| error.within(index))?;
                continue;
            }
            survey.section(&payload, &is_provided)?;
        }
        survey.check_interface()?;
        Ok(survey)
    }

    fn section(&mut self, payload: &Payload<'_>, is_provided: &impl Fn(&str, &str) -> bool) -> Result<(), LoadError> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section.clone() {
                    for one in group?.into_types() {
                        match one.composite_type.inner {
                            CompositeInnerType::Func(function) => self.types.push(function),
                            _ => return Err(not_supported("a type that is not a function's", section.range().start)),
                        }
                    }
                }
            }
            Payload::ImportSection(section) => {
                for (index, import) in section.clone().into_imports().enumerate() {
                    let import = import?;
                    self.import(index, import.module, import.name, import.ty, is_provided)?;
                }
            }
            Payload::FunctionSection(section) => {
                for index in section.clone() {
                    self.functions.push(index?);
                }
            }
            Payload::TableSection(section) => {
                for table in section.clone() {
                    self.tables.push(table?.ty.element_type);
                }
                if self.tables.len() > TABLES_MOST {
                    return Err(not_supported(&format!("more than {TABLES_MOST} tables"), section.range().start));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    self.has_memory = Some(memory?.memory64);
                }
            }
            Payload::TagSection(section) => {
                for tag in section.clone() {
                    self.tags.push(tag?.func_type_idx);
                }
            }
            Payload::GlobalSection(section) => self.globals(section)?,
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    self.export(&export?)?;
                }
            }
            Payload::ElementSection(section) => self.elements(section)?,
            Payload::StartSection { func, .. } => self.start = Some(*func),
            _ => {}
        }
        Ok(())
    }

    fn globals(&mut self, section: &GlobalSectionReader<'_>) -> Result<(), LoadError> {
        for (index, global) in (0u32..).zip(section.clone().into_iter_with_offsets()) {
            let (offset, global) = global?;
            self.refer_from(&global.init_expr)?;
            if !global.ty.mutable {
                continue;
            }
            if matches!(global.ty.content_type, ValType::Ref(_)) {
                return Err(not_supported(&format!("global {index} is mutable and holds a reference"), offset));
            }
            self.mutable_globals.push(index);
        }
        Ok(())
    }

    fn elements(&mut self, section: &ElementSectionReader<'_>) -> Result<(), LoadError> {
        for element in section.clone() {
            match element?.items {
                ElementItems::Functions(functions) => {
                    for function in functions {
                        self.referable.insert(function?);
                    }
                }
                ElementItems::Expressions(_, expressions) => {
                    for expression in expressions {
                        self.refer_from(&expression?)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn import(
        &mut self,
        index: usize,
        module: &str,
        name: &str,
        kind: TypeRef,
        is_provided: &impl Fn(&str, &str) -> bool,
    ) -> Result<(), LoadError> {
        let refused = |why| Err(LoadError::Import { index, module: module.to_owned(), name: name.to_owned(), why });
        let TypeRef::Func(of_type) = kind else {
            return refused("it is not a function; a module brings its own memory, tables, globals and tags");
        };
        if !is_provided(module, name) {
            return refused(
                "there is no such function here; WASI preview 1 and what Emscripten's C library needs are there",
            );
        }
        self.functions.push(of_type);
        self.imported += 1;
        Ok(())
    }

    fn export(&mut self, export: &Export<'_>) -> Result<(), LoadError> {
        if export.name.starts_with(RESERVED) {
            let why = "names that begin like this are the loader's own".to_owned();
            return Err(LoadError::Export { name: export.name.to_owned(), why });
        }
        if export.kind == ExternalKind::Func {
            self.referable.insert(export.index);
            match export.name {
                "handle" => self.handle = Some(export.index),
                "malloc" => self.malloc = Some(export.index),
                _ => {}
            }
        }
        Ok(())
    }

    fn refer_from(&mut self, expression: &ConstExpr<'_>) -> Result<(), LoadError> {
        for operator in expression.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator? {
                self.referable.insert(function_index);
            }
        }
        Ok(())
    }

    fn body(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
        allocations: FuncValidatorAllocations,
    ) -> Result<FuncValidatorAllocations, LoadError> {
        let mut validator = function.into_validator(allocations);
        validator.validate(body)?;
        let (mut is_old, mut nesting) = (false, Nesting::default());
        for item in body.get_operators_reader()?.into_iter_with_offsets() {
            let (operator, offset) = item?;
            nesting.pass(&operator).map_err(|what| not_supported(&what, offset))?;
            match operator {
                Operator::Try { .. } => is_old = true,
                Operator::RefFunc { function_index } => {
                    self.referable.insert(function_index);
                }
                Operator::TableSet { .. }
                | Operator::TableGrow { .. }
                | Operator::TableFill { .. }
                | Operator::TableCopy { .. }
                | Operator::TableInit { .. } => {
                    self.changes_tables = true;
                    if let Some(table) = self.tables.iter().find(|table| !table.is_func_ref()) {
                        return Err(not_supported(
                            &format!("a table of {table} in a module that changes tables"),
                            offset,
                        ));
                    }
                }
                Operator::DataDrop { .. } | Operator::ElemDrop { .. } => {
                    return Err(not_supported("a segment is dropped, which no snapshot holds", offset));
                }
                _ => {}
            }
        }
        self.bodies.push((body.range(), is_old));
        Ok(validator.into_allocations())
    }

    fn check_interface(&self) -> Result<(), LoadError> {
        let is_wide = self.has_memory.ok_or(LoadError::Missing { what: "memory" })?;
        let pointer = if is_wide { ValType::I64 } else { ValType::I32 };
        self.check_export("handle", self.handle, &[pointer, pointer], pointer)?;
        self.check_export("malloc", self.malloc, &[pointer], pointer)
    }

    fn check_export(
        &self,
        name: &'static str,
        index: Option<u32>,
        params: &[ValType],
        result: ValType,
    ) -> Result<(), LoadError> {
        let index = index
            .ok_or(LoadError::Missing { what: if name == "handle" { "export `handle`" } else { "export `malloc`" } })?;
        let of_type = self.functions.get(index as usize).and_then(|of_type| self.types.get(*of_type as usize));
        match of_type {
            Some(of_type) if of_type.params() == params && of_type.results() == [result] => Ok(()),
            _ => {
                let params = params.iter().map(ValType::to_string).collect::<Vec<_>>().join(", ");
                Err(LoadError::Export {
                    name: name.to_owned(),
                    why: format!("with this memory it must be a function ({params}) -> {result}"),
                })
            }
        }
    }
}

fn not_supported(what: &str, offset: usize) -> LoadError {
    LoadError::NotSupported { what: format!("not supported: {what}"), offset: offset as u64, function: None }
}
