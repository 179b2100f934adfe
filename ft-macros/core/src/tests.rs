//! Scratch
#[test]
fn show() {
    let source = std::fs::read_to_string(std::env::var("SRC").unwrap()).unwrap();
    let out = crate::expand_all(source.parse().unwrap());
    match syn::parse2(out.clone()) {
        Ok(f) => println!("{}", prettyplease::unparse(&f)),
        Err(e) => println!("{e}\n{out}"),
    }
}
