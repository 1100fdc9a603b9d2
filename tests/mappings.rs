//! Every shipped mapping compiles without a finding and its cases pass; every broken one is told where and why.

use snowgate::mapping::{Diagnostic, FindingSeverity, Mapping, SourceFile, compile};

fn compiled(name: &str) -> (Option<Mapping>, Vec<Diagnostic>) {
    let text = std::fs::read_to_string(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    compile(&SourceFile::new(name, text))
}

fn rendered(findings: &[Diagnostic]) -> String {
    findings.iter().map(|finding| finding.render(false) + "\n").collect()
}

fn cases_pass(mapping: &Mapping) {
    for case in mapping.run_cases() {
        assert!(case.passed(), "{}: {} differs: {:#?}", case.line, case.name, case.differences);
    }
}

#[test]
fn the_documented_example_compiles_and_passes() {
    let (mapping, findings) = compiled("tests/fixtures/mappings/contract.yaml");
    assert!(findings.iter().all(|finding| finding.severity == FindingSeverity::Warning), "{}", rendered(&findings));
    println!("{}", rendered(&findings));
    cases_pass(&mapping.unwrap());
}
