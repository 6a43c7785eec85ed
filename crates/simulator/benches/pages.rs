//! One page of `ListSecrets` in memory, without HTTP. The cost must not depend on the number of secrets.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use secret_rotation_simulator::{Options, Simulator};
use serde_json::{Value, json};

/// Starts a simulator with the estate of the benchmarks.
fn estate(count: usize) -> Simulator {
    let options = Options {
        trace_limit: Some(0),
        ..Options::default()
    };
    let aws = Simulator::start(options).expect("a free port on loopback");
    let scenario = format!(
        "generate: [{{count: {count}, name: 'payments/team-{{n%50:03}}/database-{{n:014}}', state: healthy, \
         function: 'rotate-{{n%200:03}}', tags: {{team: 'team-{{n%50:03}}', environment: production, service: 'service-{{n%1000:04}}'}}, \
         exception: {{every: 50, state: stuck-valued}}}}]"
    );
    aws.add(&scenario).expect("the scenario is valid");
    aws
}

/// Lists page after page, and begins again after the last one.
fn pages(criterion: &mut Criterion) {
    for count in [2_000, 100_000, 500_000] {
        let aws = estate(count);
        let mut parameters = json!({});
        criterion.bench_function(&format!("page of 100 among {count}"), |bencher| {
            bencher.iter(|| {
                let page = aws.answer("ListSecrets", &parameters).expect("a page");
                parameters = following(&page);
                black_box(page.len())
            });
        });
    }
}

/// Returns the parameters of the next page. Finds the token without parsing the page, which would be measured too.
fn following(page: &str) -> Value {
    let start = page.strip_prefix(r#"{"NextToken":""#);
    match start.and_then(|rest| rest.split_once('"')) {
        Some((token, _)) => json!({"NextToken": token}),
        None => json!({}),
    }
}

criterion_group!(benches, pages);
criterion_main!(benches);
