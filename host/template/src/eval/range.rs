//! `range`: over lists, maps, channels and integers.

use super::{Evaluator, Flow};
use crate::node::Branch;
use crate::value::Value;

impl<'a> Evaluator<'a> {
    pub(super) fn range(&mut self, dot: &Value, branch: &'a Branch) -> Result<Flow, String> {
        let variables = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let mark = self.variables.len();
        let mut turned = false;
        let mut turn = |evaluator: &mut Self, index: Value, item: Value| {
            turned = true;
            evaluator.turn(branch, mark, index, item)
        };
        match &value {
            Value::Missing | Value::Nil => (),
            Value::List(list) => {
                for (index, item) in (0..).zip(list.items()) {
                    if turn(self, Value::int(index), item.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in map.entries() {
                    if turn(self, key.value(), item)? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Channel(from, end) => {
                for (index, number) in (0..).zip(*from..*end) {
                    if turn(self, Value::int(index), Value::int64(number))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Int(..) | Value::Uint(..) if branch.pipe.declared.len() > 1 => {
                let number = crate::format::print_action(&value, self.meter.bytes())?;
                let number = String::from_utf8_lossy(&number);
                return Err(format!("can't use {number} to iterate over more than one variable"));
            }
            Value::Int(end, kind) => {
                for number in 0..*end {
                    if turn(self, Value::Missing, Value::Int(number, *kind))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Uint(end, kind) => {
                for number in 0..*end {
                    if turn(self, Value::Missing, Value::Uint(number, *kind))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::String(text) | Value::Number(text) => {
                return Err(format!("range can't iterate over {}", text.shown()));
            }
            _ => {
                let text = crate::format::print_action(&value, self.meter.bytes())?;
                return Err(format!("range can't iterate over {}", String::from_utf8_lossy(&text)));
            }
        }
        let flow = if turned { Flow::On } else { self.statements(dot, &branch.otherwise)? };
        self.variables.truncate(variables);
        Ok(flow)
    }

    fn turn(
        &mut self,
        branch: &'a Branch,
        mark: usize,
        index: Value,
        item: Value,
    ) -> Result<Flow, String> {
        self.meter.spend(1)?;
        let declared = &branch.pipe.declared;
        // Index comes first; one variable alone is the item.
        if branch.pipe.assigns {
            if let [first, second] = &declared[..] {
                self.assign(first, index)?;
                self.assign(second, item.clone())?;
            } else if let [only] = &declared[..] {
                self.assign(only, item.clone())?;
            }
        } else if !declared.is_empty() {
            let last = self.variables.len();
            self.variables[last - 1].1 = item.clone();
            if declared.len() > 1 {
                self.variables[last - 2].1 = index;
            }
        }
        let flow = self.statements(&item, &branch.body)?;
        self.variables.truncate(mark);
        Ok(if flow == Flow::Break { Flow::Break } else { Flow::On })
    }
}
