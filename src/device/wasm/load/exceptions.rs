//! Exception handling from the old form (`try`, `catch`, `rethrow`, `delegate`) to the standard one (`try_table`, `throw_ref`).
//!
//! A `try` with n clauses becomes n blocks around a `try_table`, one in the other, within a block that is its end:
//!
//! ```text
//! block $end
//!   block $clause_n …
//!     block $clause_1
//!       try_table (catch_ref tag_1 $clause_1) … (catch_all_ref $clause_n)
//!         block $delegated            if something is delegated to this `try`
//!           the body
//!           br to the end of try_table
//!         end
//!         throw_ref
//!       end
//!       br $end
//!     end
//!     keep the exception; the first clause; br $end
//!   end
//!   keep the exception; the last clause
//! end
//! ```
//!
//! `rethrow` throws the exception that was kept; `try … delegate` becomes a `try_table` that leads to `$delegated` of whoever is to
//! catch it, or to a like block around the whole function where that is the caller.

use std::collections::HashMap;

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Catch, Function, Instruction, RefType, ValType};
use wasmparser::{FunctionBody, Operator};

use super::LoadError;
use super::labels::{Frame, FrameKind, Labels};
use super::survey::Survey;

const EXCEPTION: ValType = ValType::Ref(RefType::EXNREF);

/// A block's type: what it takes and what it leaves.
pub(super) type Signature = (Vec<ValType>, Vec<ValType>);

/// Types that rewritten functions need beside those of the module, in their order.
#[derive(Debug, Default)]
pub(super) struct NewTypes {
    /// The types themselves; the first follows the last of the module.
    pub(super) added: Vec<Signature>,
    known: HashMap<Signature, u32>,
}

impl NewTypes {
    /// The type of a block that takes `params` and leaves `results`.
    fn block(&mut self, survey: &Survey, params: &[ValType], results: Vec<ValType>) -> BlockType {
        match (params, &results[..]) {
            ([], []) => return BlockType::Empty,
            ([], [one]) => return BlockType::Result(*one),
            _ => {}
        }
        let signature = (params.to_vec(), results);
        if let Some(index) = self.known.get(&signature) {
            return BlockType::FunctionType(*index);
        }
        let index = u32::try_from(survey.types.len() + self.added.len()).unwrap_or(u32::MAX);
        self.added.push(signature.clone());
        self.known.insert(signature, index);
        BlockType::FunctionType(index)
    }
}

/// A `try`, as a first look over the function finds it.
#[derive(Debug, Default)]
struct Try {
    /// The tag of each clause; none for `catch_all`.
    clauses: Vec<Option<u32>>,
    /// Set if it ends by `delegate`: the number of the `try` that catches instead, or the caller.
    delegate: Option<Option<usize>>,
    /// Whether exceptions are delegated to it.
    is_target: bool,
    /// How many `try`s it is within.
    depth: usize,
}

/// What a first look over a function finds.
#[derive(Debug, Default)]
struct Plan {
    tries: Vec<Try>,
    /// Whether exceptions are delegated to the caller.
    leaves: bool,
    /// The deepest nesting of `try`s.
    deepest: usize,
}

impl Plan {
    fn of(body: &FunctionBody<'_>) -> Result<Self, LoadError> {
        let (mut plan, mut labels, mut depth) = (Self::default(), Labels::new(), 0);
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                    labels.enter();
                }
                Operator::Try { .. } => {
                    let number = plan.tries.len();
                    plan.tries.push(Try { depth, ..Try::default() });
                    labels.push(Frame { label: 0, outside: 0, kind: FrameKind::Try { number, clause: 0 } });
                    depth += 1;
                    plan.deepest = plan.deepest.max(depth);
                }
                Operator::Catch { tag_index } => plan.clause(&mut labels, Some(tag_index))?,
                Operator::CatchAll => plan.clause(&mut labels, None)?,
                Operator::Delegate { relative_depth } => {
                    let FrameKind::Try { number, .. } = labels.leave().ok_or_else(unbalanced)?.kind else {
                        return Err(unbalanced());
                    };
                    depth -= 1;
                    let catcher = labels.catcher(relative_depth);
                    match catcher.map(|catcher| plan.get(catcher)).transpose()? {
                        Some(catcher) => catcher.is_target = true,
                        None => plan.leaves = true,
                    }
                    plan.get(number)?.delegate = Some(catcher);
                }
                Operator::End => {
                    if let Some(Frame { kind: FrameKind::Try { .. }, .. }) = labels.leave() {
                        depth -= 1;
                    }
                }
                _ => {}
            }
        }
        Ok(plan)
    }

    fn get(&mut self, number: usize) -> Result<&mut Try, LoadError> {
        self.tries.get_mut(number).ok_or_else(unbalanced)
    }

    fn clause(&mut self, labels: &mut Labels, tag: Option<u32>) -> Result<(), LoadError> {
        let Some(Frame { kind: FrameKind::Try { number, .. }, .. }) = labels.next_clause() else {
            return Err(unbalanced());
        };
        self.get(number)?.clauses.push(tag);
        Ok(())
    }
}

/// Validation has seen that blocks are balanced; who reads this has met an error of this program.
fn unbalanced() -> LoadError {
    LoadError::Rewrite("a function's blocks are not balanced".to_owned())
}

fn reencoded(error: impl std::fmt::Display) -> LoadError {
    LoadError::Rewrite(error.to_string())
}

/// The function that is being written.
struct Rewriting<'a> {
    survey: &'a Survey,
    types: &'a mut NewTypes,
    plan: Plan,
    labels: Labels,
    out: Function,
    /// The first of the locals that keep exceptions, one for each depth of nesting.
    kept: u32,
    next: usize,
    /// Positions of the labels `$delegated`, by the number of their `try`.
    delegated: HashMap<usize, u32>,
    /// The position of the one around the function.
    leaving: Option<u32>,
}

/// Rewrites one function, whose type has the index `of_type`.
pub(super) fn rewrite(
    survey: &Survey,
    of_type: u32,
    body: &FunctionBody<'_>,
    types: &mut NewTypes,
) -> Result<Function, LoadError> {
    let plan = Plan::of(body)?;
    let (params, _) = signature(survey, of_type)?;
    let mut locals = Vec::new();
    let mut count = u32::try_from(params.len()).map_err(reencoded)?;
    for group in body.get_locals_reader()? {
        let (number, of_type) = group?;
        count = count.saturating_add(number);
        locals.push((number, RoundtripReencoder.val_type(of_type).map_err(reencoded)?));
    }
    locals.push((u32::try_from(plan.deepest).map_err(reencoded)?, EXCEPTION));
    let mut writing = Rewriting {
        survey,
        types,
        plan,
        labels: Labels::new(),
        out: Function::new(locals),
        kept: count,
        next: 0,
        delegated: HashMap::new(),
        leaving: None,
    };
    if writing.plan.leaves {
        writing.leaving = Some(writing.labels.depth);
        writing.open(Instruction::Block(BlockType::Result(EXCEPTION)));
    }
    // The last `end` is the function's.
    let mut operators = body.get_operators_reader()?;
    while !operators.is_end_then_eof() {
        let operator = operators.read()?;
        writing.operator(operator)?;
    }
    if writing.plan.leaves {
        writing.emit(Instruction::Return);
        writing.emit(Instruction::End);
        writing.emit(Instruction::ThrowRef);
    }
    writing.emit(Instruction::End);
    Ok(writing.out)
}

/// What functions or blocks of the type with this index take and leave.
fn signature(survey: &Survey, of_type: u32) -> Result<Signature, LoadError> {
    let of_type = survey.types.get(of_type as usize).ok_or_else(|| reencoded("a type is missing"))?;
    let all = |types: &[wasmparser::ValType]| {
        types.iter().map(|one| RoundtripReencoder.val_type(*one).map_err(reencoded)).collect::<Result<Vec<_>, _>>()
    };
    Ok((all(of_type.params())?, all(of_type.results())?))
}

impl Rewriting<'_> {
    fn emit(&mut self, instruction: Instruction<'_>) {
        self.out.instruction(&instruction);
    }

    /// Emits the beginning of a block.
    fn open(&mut self, instruction: Instruction<'_>) {
        self.emit(instruction);
        self.labels.depth += 1;
    }

    /// Emits the end of the innermost block.
    fn close(&mut self) {
        self.emit(Instruction::End);
        self.labels.depth -= 1;
    }

    fn branch(&mut self, position: u32) {
        self.emit(Instruction::Br(self.labels.relative(position)));
    }

    fn renamed(&self, relative: u32) -> Result<u32, LoadError> {
        self.labels.renamed(relative).ok_or_else(unbalanced)
    }

    fn operator(&mut self, operator: Operator<'_>) -> Result<(), LoadError> {
        match operator {
            Operator::Try { blockty } => self.begin_try(blockty),
            Operator::Catch { .. } | Operator::CatchAll => self.begin_clause(),
            Operator::Rethrow { relative_depth } => {
                let number = match self.labels.named(relative_depth).map(|frame| frame.kind) {
                    Some(FrameKind::Try { number, .. }) => number,
                    _ => return Err(unbalanced()),
                };
                let kept = self.kept(number)?;
                self.emit(Instruction::LocalGet(kept));
                self.emit(Instruction::ThrowRef);
                Ok(())
            }
            Operator::Delegate { .. } | Operator::End => self.end(),
            Operator::Br { relative_depth } => {
                let label = self.renamed(relative_depth)?;
                self.emit(Instruction::Br(label));
                Ok(())
            }
            Operator::BrIf { relative_depth } => {
                let label = self.renamed(relative_depth)?;
                self.emit(Instruction::BrIf(label));
                Ok(())
            }
            Operator::BrTable { targets } => {
                let default = self.renamed(targets.default())?;
                let labels = targets.targets().map(|target| self.renamed(target?)).collect::<Result<Vec<_>, _>>()?;
                self.emit(Instruction::BrTable(labels.into(), default));
                Ok(())
            }
            Operator::TryTable { try_table } => {
                let mut catches = Vec::with_capacity(try_table.catches.len());
                for catch in try_table.catches {
                    catches.push(match RoundtripReencoder.catch(catch).map_err(reencoded)? {
                        Catch::One { tag, label } => Catch::One { tag, label: self.renamed(label)? },
                        Catch::OneRef { tag, label } => Catch::OneRef { tag, label: self.renamed(label)? },
                        Catch::All { label } => Catch::All { label: self.renamed(label)? },
                        Catch::AllRef { label } => Catch::AllRef { label: self.renamed(label)? },
                    });
                }
                let of_type = RoundtripReencoder.block_type(try_table.ty).map_err(reencoded)?;
                self.emit(Instruction::TryTable(of_type, catches.into()));
                self.labels.enter();
                Ok(())
            }
            other => {
                if matches!(other, Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. }) {
                    self.labels.enter();
                }
                let instruction = RoundtripReencoder.instruction(other).map_err(reencoded)?;
                self.emit(instruction);
                Ok(())
            }
        }
    }

    /// The local that keeps what a clause of this `try` caught.
    fn kept(&mut self, number: usize) -> Result<u32, LoadError> {
        let depth = self.plan.get(number)?.depth;
        u32::try_from(depth).ok().and_then(|depth| self.kept.checked_add(depth)).ok_or_else(unbalanced)
    }

    fn begin_try(&mut self, of_type: wasmparser::BlockType) -> Result<(), LoadError> {
        let number = self.next;
        self.next += 1;
        let (params, results) = match of_type {
            wasmparser::BlockType::Empty => (Vec::new(), Vec::new()),
            wasmparser::BlockType::Type(one) => {
                (Vec::new(), vec![RoundtripReencoder.val_type(one).map_err(reencoded)?])
            }
            wasmparser::BlockType::FuncType(index) => signature(self.survey, index)?,
        };
        let whole = self.types.block(self.survey, &params, results);
        let outside = self.labels.depth;
        let (clauses, delegate, is_target) = {
            let planned = self.plan.get(number)?;
            (planned.clauses.clone(), planned.delegate, planned.is_target)
        };
        let mut catches = Vec::new();
        if let Some(catcher) = delegate {
            let position = match catcher {
                Some(catcher) => self.delegated.get(&catcher).copied(),
                None => self.leaving,
            };
            let position = position.ok_or_else(unbalanced)?;
            catches.push(Catch::AllRef { label: self.labels.relative(position) });
        } else if !clauses.is_empty() {
            self.open(Instruction::Block(whole));
            for tag in clauses.iter().rev() {
                let mut caught = match tag {
                    Some(tag) => self.tag_params(*tag)?,
                    None => Vec::new(),
                };
                caught.push(EXCEPTION);
                let of_clause = self.types.block(self.survey, &params, caught);
                self.open(Instruction::Block(of_clause));
            }
            for (label, tag) in (0u32..).zip(&clauses) {
                catches.push(match tag {
                    Some(tag) => Catch::OneRef { tag: *tag, label },
                    None => Catch::AllRef { label },
                });
            }
        }
        let label = if clauses.is_empty() { self.labels.depth } else { outside };
        self.open(Instruction::TryTable(whole, catches.into()));
        if is_target {
            self.delegated.insert(number, self.labels.depth);
            let of_block = self.types.block(self.survey, &params, vec![EXCEPTION]);
            self.open(Instruction::Block(of_block));
        }
        self.labels.push(Frame { label, outside, kind: FrameKind::Try { number, clause: 0 } });
        Ok(())
    }

    fn tag_params(&self, tag: u32) -> Result<Vec<ValType>, LoadError> {
        let of_type = self.survey.tags.get(tag as usize).ok_or_else(|| reencoded("a tag is missing"))?;
        Ok(signature(self.survey, *of_type)?.0)
    }

    /// Ends the body of the innermost `try`, up to and with its `try_table`.
    fn end_body(&mut self, number: usize) {
        if self.delegated.contains_key(&number) {
            self.emit(Instruction::Br(1));
            self.close();
            self.emit(Instruction::ThrowRef);
        }
        self.close();
    }

    fn begin_clause(&mut self) -> Result<(), LoadError> {
        let Some(frame) = self.labels.next_clause() else { return Err(unbalanced()) };
        let FrameKind::Try { number, clause } = frame.kind else { return Err(unbalanced()) };
        if clause == 1 {
            self.end_body(number);
        }
        self.branch(frame.label);
        self.close();
        let kept = self.kept(number)?;
        self.emit(Instruction::LocalSet(kept));
        Ok(())
    }

    /// Ends the innermost block.
    fn end(&mut self) -> Result<(), LoadError> {
        match self.labels.innermost().map(|frame| frame.kind) {
            Some(FrameKind::Try { number, clause: 0 }) => self.end_body(number),
            Some(_) => self.emit(Instruction::End),
            None => return Err(unbalanced()),
        }
        self.labels.leave();
        Ok(())
    }
}
