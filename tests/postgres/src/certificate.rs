//! A certificate authority of its own and a server certificate, made by `openssl`.

use std::path::{Path, PathBuf};

use crate::server::run;
use crate::{Missing, account};

/// Makes `server.crt` and `server.key` for `localhost` in the folder, and gives the authority's certificate.
pub(crate) fn make(folder: &Path) -> Result<PathBuf, Missing> {
    let openssl = |arguments: &str| {
        let mut openssl = account::command("openssl", folder);
        openssl.args(arguments.split(' '));
        openssl
    };
    if openssl("version").output().is_err() {
        return Err(Missing("openssl (apt-get install openssl)".into()));
    }
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let extensions = folder.join("server.ext");
    std::fs::write(&extensions, "subjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\n")
        .expect("the folder can be written");
    for arguments in [
        format!("req -x509 {key} -keyout authority.key -out authority.crt -days 2 -subj /CN=ft-test"),
        format!("req -new {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        "x509 -req -in server.csr -CA authority.crt -CAkey authority.key -CAcreateserial -out server.crt -days 2 \
         -extfile server.ext"
            .into(),
    ] {
        run(openssl(&arguments)).unwrap_or_else(|output| panic!("openssl {arguments}: {output}"));
    }
    Ok(folder.join("authority.crt"))
}
