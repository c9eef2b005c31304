//! What is asked for each group, the smallest group, and the order of the answer.

use model::tables::IDENTIFIER_MAX;
use sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, ObjectName, ObjectNamePart, OrderBy, OrderByExpr, OrderByKind, OrderByOptions,
    OrderBySort, SelectItem, Value,
};

use super::super::declared::Key;
use super::super::question::{Number, Order, Question, Shown};
use super::super::refusal::Refusal;
use super::{Reading, folded, whole};

/// What a quantile may be.
const QUANTILE: &str = "quantiles are percentile_disc(0.5) WITHIN GROUP (ORDER BY column), of a column that is declared in bands";

/// A part between nothing and all, with six digits at most.
fn millionths(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0.").or_else(|| text.strip_prefix('.'))?;
    let fits = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let part = fits.then(|| format!("{digits:0<6}").parse::<u32>().ok()).flatten()?;
    (part > 0).then_some(part)
}

impl Reading<'_> {
    pub(super) fn shown(&self, item: &SelectItem, keys: &[usize]) -> Result<(String, Shown), Refusal> {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
            _ => {
                return Err(Refusal::grammar(
                    None,
                    "rows are not seen: name keys, count, sum, avg or percentile_disc in place of `*`",
                ));
            }
        };
        let at = self.places.expr(expr);
        let (name, shown) = match expr {
            Expr::Function(function) => self.number(function)?,
            _ => {
                let Some(name) = self.column_name(expr) else {
                    return Err(Refusal::grammar(
                        at,
                        "SELECT takes keys, count, sum, avg and percentile_disc, and nothing computed",
                    ));
                };
                match self.declared.column(&name) {
                    Some((index, _)) if keys.contains(&index) => (name, Shown::Key(index)),
                    _ => {
                        return Err(Refusal::new(
                            "42803",
                            at,
                            "a column stands alone only when `GROUP BY` names it",
                        ));
                    }
                }
            }
        };
        let name = alias.map_or(name, folded);
        let fits = name.len() <= IDENTIFIER_MAX && !name.contains('\0');
        if fits { Ok((name, shown)) } else { Err(Refusal::new("42622", at, "this name is too long")) }
    }

    /// `count`, `sum` or `avg`, and nothing else that a call may have about it.
    fn number(&self, function: &Function) -> Result<(String, Shown), Refusal> {
        let refused = |why: &str| Refusal::grammar(self.places.expr(&Expr::Function(function.clone())), why);
        let only = || {
            refused(
                "functions are count(*), count(DISTINCT person), sum(column), avg(column) and percentile_disc",
            )
        };
        let Function {
            name: ObjectName(name),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args, clauses }),
            within_group,
            filter: None,
            null_treatment: None,
            over: None,
        } = function
        else {
            return Err(only());
        };
        let ([ObjectNamePart::Identifier(name)], [FunctionArg::Unnamed(arg)]) =
            (name.as_slice(), args.as_slice())
        else {
            return Err(only());
        };
        let name = folded(name);
        if name == "percentile_disc" && clauses.is_empty() && duplicate_treatment.is_none() {
            let shown = self.quantile(arg, within_group).ok_or_else(|| refused(QUANTILE))?;
            return Ok((name, shown));
        }
        if !clauses.is_empty() || !within_group.is_empty() {
            return Err(only());
        }
        let distinct = matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct));
        let column = match arg {
            FunctionArgExpr::Wildcard if name == "count" && duplicate_treatment.is_none() => {
                return Ok((name, Shown::Number(self.declared.counted())));
            }
            FunctionArgExpr::Expr(expr) => self.column_name(expr).ok_or_else(only)?,
            _ => return Err(only()),
        };
        match name.as_str() {
            "count" if distinct && column == self.declared.person => {
                Ok((name, Shown::Number(Number::People)))
            }
            "count" => Err(refused("count takes `*` or `DISTINCT` and the column of the person")),
            "sum" | "avg" if !distinct => match self.declared.column(&column) {
                Some((index, declared)) if declared.sum.is_some() => {
                    let sum =
                        if name == "sum" { Shown::Number(Number::Sum(index)) } else { Shown::Mean(index) };
                    Ok((name, sum))
                }
                _ => Err(refused("this column may not be summed")),
            },
            _ => Err(only()),
        }
    }

    /// `percentile_disc(part) WITHIN GROUP (ORDER BY column)`, of a column in bands.
    fn quantile(&self, part: &FunctionArgExpr, order: &[OrderByExpr]) -> Option<Shown> {
        let FunctionArgExpr::Expr(Expr::Value(part)) = part else { return None };
        let Value::Number(part, false) = &part.value else { return None };
        let part = millionths(part)?;
        let [OrderByExpr { expr, options: OrderByOptions { sort, nulls_first: None }, with_fill: None }] =
            order
        else {
            return None;
        };
        if !matches!(sort, None | Some(OrderBySort::Asc)) {
            return None;
        }
        let (column, declared) = self.declared.column(&self.column_name(expr)?)?;
        matches!(declared.key, Key::Bands(_)).then_some(Shown::Quantile(column, part))
    }

    /// `HAVING count(DISTINCT person) >= n`: the smallest group that is wanted. `count(*)` is the same where nobody has two rows.
    pub(super) fn least(&self, having: &Expr) -> Result<u32, Refusal> {
        let refused = || {
            Refusal::grammar(
                self.places.expr(having),
                "`HAVING` takes `count(DISTINCT person) >= number` alone: the smallest group",
            )
        };
        let Expr::BinaryOp { left, op, right } = having else { return Err(refused()) };
        let Expr::Function(function) = &**left else { return Err(refused()) };
        let people = matches!(self.number(function)?.1, Shown::Number(Number::People));
        let number = whole(right).filter(|_| people).ok_or_else(refused)?;
        let least = match op {
            BinaryOperator::GtEq => number,
            BinaryOperator::Gt => number.saturating_add(1),
            _ => return Err(refused()),
        };
        u32::try_from(least).map_err(|_| refused())
    }

    pub(super) fn order(&self, order: Option<OrderBy>, question: &Question) -> Result<Vec<Order>, Refusal> {
        let refused = || Refusal::grammar(None, "`ORDER BY` takes columns of the answer, by name or number");
        match order {
            None => Ok(Vec::new()),
            Some(OrderBy { kind: OrderByKind::Expressions(all), interpolate: None })
                if all.len() <= question.shown.len() =>
            {
                all.iter().map(|expr| self.order_by(expr, question)).collect()
            }
            Some(_) => Err(refused()),
        }
    }

    fn order_by(&self, order: &OrderByExpr, question: &Question) -> Result<Order, Refusal> {
        let OrderByExpr { expr, options: OrderByOptions { sort, nulls_first }, with_fill } = order;
        let refused = || {
            Refusal::grammar(
                self.places.expr(expr),
                "`ORDER BY` takes columns of the answer, by name or number",
            )
        };
        let down = match sort {
            None | Some(OrderBySort::Asc) => false,
            Some(OrderBySort::Desc) => true,
            Some(OrderBySort::Using(_)) => return Err(refused()),
        };
        if with_fill.is_some() {
            return Err(refused());
        }
        let wanted = |index: &usize| question.shown.get(*index).is_some();
        let by = match (expr, whole(expr)) {
            (_, Some(number)) => usize::try_from(number).ok().and_then(|n| n.checked_sub(1)).filter(wanted),
            (Expr::Function(function), _) => {
                let shown = self.number(function)?.1;
                question.shown.iter().position(|(_, of)| *of == shown)
            }
            _ => {
                let name = self.column_name(expr).ok_or_else(refused)?;
                let mut named = question.shown.iter().enumerate().filter(|(_, (shown, _))| *shown == name);
                let first = named.next().map(|(index, _)| index);
                first.filter(|_| named.next().is_none())
            }
        };
        Ok(Order { by: by.ok_or_else(refused)?, down, nulls_first: nulls_first.unwrap_or(down) })
    }
}
