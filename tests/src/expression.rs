//! The metrics and the labels of a `PromQL` expression.

use std::collections::BTreeSet;
use std::convert::Infallible;

use promql_parser::label::METRIC_NAME;
use promql_parser::parser::{self, Expr, LabelModifier};
use promql_parser::util::{ExprVisitor, walk_expr};

/// A parsed expression.
#[derive(Debug)]
pub struct Expression(Expr);

impl Expression {
    /// Parses an expression; the error is that of the parser.
    pub fn parse(text: &str) -> Result<Self, String> {
        parser::parse(text).map(Self)
    }

    /// Returns the metrics that it names.
    pub fn metrics(&self) -> BTreeSet<String> {
        let mut metrics = Metrics(BTreeSet::new());
        let Ok(_) = walk_expr(&mut metrics, &self.0);
        metrics.0
    }

    /// Returns whether every aggregation and every match of two sides separates series that differ in this label.
    pub fn groups_by(&self, label: &str) -> bool {
        groups_by(&self.0, label)
    }

    /// Returns whether series that differ only in this label stay separate in the result.
    pub fn keeps(&self, label: &str) -> bool {
        keeps(&self.0, label)
    }
}

struct Metrics(BTreeSet<String>);

impl ExprVisitor for Metrics {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        if let Expr::VectorSelector(selector) = expr {
            self.0.extend(selector.name.clone());
        }
        if let Expr::MatrixSelector(selector) = expr {
            self.0.extend(selector.vs.name.clone());
        }
        Ok(true)
    }
}

fn keeps(expr: &Expr, label: &str) -> bool {
    match expr {
        Expr::Aggregate(aggregate) => match &aggregate.modifier {
            Some(LabelModifier::Include(labels)) => labels.labels.iter().any(|one| one == label),
            Some(LabelModifier::Exclude(labels)) => {
                !labels.labels.iter().any(|one| one == label) && keeps(&aggregate.expr, label)
            }
            None => false,
        },
        Expr::Binary(binary) => keeps(&binary.lhs, label) || keeps(&binary.rhs, label),
        Expr::Unary(unary) => keeps(&unary.expr, label),
        Expr::Paren(paren) => keeps(&paren.expr, label),
        Expr::Subquery(subquery) => keeps(&subquery.expr, label),
        Expr::Call(call) if call.func.name == "absent" => false,
        Expr::Call(call) => call.args.args.iter().any(|one| keeps(one, label)),
        // What a recording rule aggregates is checked in the expression of that rule.
        Expr::VectorSelector(selector) => !selector
            .name
            .as_deref()
            .unwrap_or(METRIC_NAME)
            .contains(':'),
        Expr::MatrixSelector(_) | Expr::Extension(_) => true,
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => false,
    }
}

fn names(modifier: &LabelModifier, label: &str) -> bool {
    match modifier {
        LabelModifier::Include(labels) => labels.labels.iter().any(|one| one == label),
        LabelModifier::Exclude(labels) => !labels.labels.iter().any(|one| one == label),
    }
}

fn groups_by(expr: &Expr, label: &str) -> bool {
    match expr {
        Expr::Aggregate(aggregate) => {
            let modifier = aggregate.modifier.as_ref();
            modifier.is_some_and(|modifier| names(modifier, label))
                && groups_by(&aggregate.expr, label)
        }
        Expr::Binary(binary) => {
            let matching = binary.modifier.as_ref();
            let matching = matching.and_then(|modifier| modifier.matching.as_ref());
            matching.is_none_or(|matching| names(matching, label))
                && groups_by(&binary.lhs, label)
                && groups_by(&binary.rhs, label)
        }
        Expr::Unary(unary) => groups_by(&unary.expr, label),
        Expr::Paren(paren) => groups_by(&paren.expr, label),
        Expr::Subquery(subquery) => groups_by(&subquery.expr, label),
        // It says that there is nothing at all.
        Expr::Call(call) if call.func.name == "absent" => true,
        Expr::Call(call) => call.args.args.iter().all(|one| groups_by(one, label)),
        // The name of a recorded series says by what it is grouped. Other series have all labels.
        Expr::VectorSelector(selector) => {
            let name = selector.name.as_deref().unwrap_or_default();
            let level = name.split_once(':').map(|(level, _)| level);
            level.is_none_or(|level| level.split('_').any(|one| one == label))
        }
        Expr::MatrixSelector(_)
        | Expr::Extension(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_in_matrices_and_on_both_sides() {
        let text = r#"sum by (a) (rate(x_total{y="z_total"}[5m])) / on (b) max(last_over_time(g[5m])) unless h:i:j > 0.5"#;
        let found = Expression::parse(text).expect("it is PromQL").metrics();
        assert_eq!(found, ["g", "h:i:j", "x_total"].map(str::to_owned).into());
    }

    #[test]
    fn a_label_is_kept_unless_it_is_aggregated_away() {
        for (text, kept) in [
            ("x", true),
            ("max by (policy) (x)", false),
            ("max by (pod) (x)", true),
            ("max without (pod) (x)", false),
            ("max without (policy) (x)", true),
            (
                "time() - max by (policy) (x) > 3 unless on (policy) max by (policy) (y) == 1",
                false,
            ),
            ("max by (policy) (x) and y", true),
            ("absent(up == 1)", false),
            ("a:b:c > 0.1", false),
            ("round(sum(increase(x[6h]))) > 3", false),
            ("rate(x[5m])", true),
        ] {
            let expression = Expression::parse(text).expect("it is PromQL");
            assert_eq!(expression.keeps("pod"), kept, "{text}");
        }
    }

    #[test]
    fn a_label_is_grouped_by_in_every_part_of_an_expression() {
        for (text, grouped) in [
            ("max by (cluster, policy) (x)", true),
            ("max by (policy) (x)", false),
            ("max without (pod) (x)", true),
            ("max without (cluster) (x)", false),
            ("sum(x)", false),
            ("time() - max by (cluster) (x) > 3", true),
            (
                "max by (cluster) (x) unless on (policy) max by (cluster) (y)",
                false,
            ),
            (
                "max by (cluster) (x) unless on (cluster) max by (cluster) (y)",
                true,
            ),
            ("max by (cluster) (x) or max by (policy) (y)", false),
            ("count by (cluster) (up) or absent(up)", true),
            ("cluster_policy:x:max > 1", true),
            ("policy:x:max > 1", false),
            ("round(sum by (cluster) (increase(x[6h]))) > 3", true),
        ] {
            let expression = Expression::parse(text).expect("it is PromQL");
            assert_eq!(expression.groups_by("cluster"), grouped, "{text}");
        }
    }
}
