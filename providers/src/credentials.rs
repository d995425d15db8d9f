//! Which variables look like credentials: a password, a token, a private key.
//!
//! Owns the guess alone; who says it where is for others. A guess by the name's words, and for addresses and keys by the
//! value. Wrong guesses cost: callers of nixpacks pass many variables, and one warning too many hides the others. So names
//! that speak *about* a credential, and what front ends publish anyway, are none.

use std::collections::BTreeMap;

/// One of these words makes a name a credential's.
const WORDS: [&str; 7] = [
    "CREDENTIAL",
    "CREDENTIALS",
    "PASS",
    "PASSPHRASE",
    "PASSWORDS",
    "PWD",
    "SECRETS",
];

/// A word that ends so too: `PGPASSWORD`.
const ENDINGS: [&str; 5] = ["APIKEY", "PASSWD", "PASSWORD", "SECRET", "TOKEN"];

/// A `KEY` is one when such a word is before it; a cache's or a sort key is not.
const KEYS: [&str; 13] = [
    "ACCESS",
    "ACCOUNT",
    "ADMIN",
    "API",
    "APP",
    "AUTH",
    "DEPLOY",
    "ENCRYPTION",
    "MASTER",
    "PRIVATE",
    "ROLE",
    "SIGNING",
    "SSH",
];

/// A name that ends so is about a credential: where it is, how long it lives.
const ABOUT: [&str; 24] = [
    "ALGORITHM",
    "AGE",
    "COUNT",
    "DIR",
    "DUMMY",
    "ENABLED",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "HEADER",
    "ID",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "NAME",
    "PATH",
    "ROUNDS",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "URI",
    "URL",
];

/// What frameworks compile into pages that everybody can read.
const PUBLISHED: [&str; 9] = [
    "EXPO_PUBLIC_",
    "GATSBY_",
    "NEXT_PUBLIC_",
    "NG_APP_",
    "NUXT_PUBLIC_",
    "PUBLIC_",
    "REACT_APP_",
    "VITE_",
    "VUE_APP_",
];

/// Settings of builders, and the shell's folders.
const NONE: [&str; 5] = ["NIXPACKS_", "PACKWRIGHT_", "RAILPACK_", "PWD", "OLDPWD"];

/// The warning about variables that come by `--env` and look like credentials; it shows no value.
pub(crate) fn warning(env: &BTreeMap<String, String>) -> Option<String> {
    let names: Vec<&str> = env
        .iter()
        .filter(|(name, value)| looks_secret(name, value))
        .map(|(name, _)| name.as_str())
        .collect();
    let (look, them) = match names.len() {
        0 => return None,
        1 => ("looks like a credential", "it"),
        _ => ("look like credentials", "them"),
    };
    Some(format!(
        "{} {look}, and --env puts {them} into the plan and the image: say --secret for what phases need, and set \
         what the app needs when it starts",
        names.join(", ")
    ))
}

/// Whether a variable is probably a credential.
fn looks_secret(name: &str, value: &str) -> bool {
    let set = !matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "" | "0" | "1" | "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "none"
    );
    set && (name_says_so(name) || value_says_so(value))
}

fn name_says_so(name: &str) -> bool {
    let words = words(name);
    let upper = words.join("_");
    let begins =
        |prefix: &str| upper == prefix || (prefix.ends_with('_') && upper.starts_with(prefix));
    let Some(last) = words.last() else {
        return false;
    };
    if NONE.iter().chain(&PUBLISHED).any(|prefix| begins(prefix)) || ABOUT.contains(&last.as_str())
    {
        return false;
    }
    let key = words
        .windows(2)
        .any(|pair| matches!(pair[1].as_str(), "KEY" | "KEYS") && KEYS.contains(&pair[0].as_str()));
    let credential = |word: &String| {
        WORDS.contains(&word.as_str()) || ENDINGS.iter().any(|ending| word.ends_with(ending))
    };
    key || words.iter().any(credential)
}

/// A private key in PEM, or an address with a password.
fn value_says_so(value: &str) -> bool {
    let value = value.trim();
    let pem = value.starts_with("-----BEGIN ") && value.contains("PRIVATE KEY-----");
    let address = password_of_address(value).is_some_and(|password| !password.is_empty());
    pem || address || password_of_fields(value)
}

/// `postgres://user:password@host/name`; what a platform fills in later (`${...}`) counts as a password too.
fn password_of_address(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once("://")?;
    if scheme.is_empty()
        || !scheme
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
    {
        return None;
    }
    // A password may hold an @ that nobody escaped, but no slash.
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

/// `Server=db;User Id=app;Password=...`, as .NET has it.
fn password_of_fields(value: &str) -> bool {
    let is_password = |field: &str| {
        field.split_once('=').is_some_and(|(name, value)| {
            let name = name.trim();
            let named = name.eq_ignore_ascii_case("password") || name.eq_ignore_ascii_case("pwd");
            named && !value.trim().is_empty()
        })
    };
    value.contains(';') && value.split(';').any(is_password)
}

/// The words of a name in capitals: `DB_PASSWORD`, `npm_config__authToken` and `apiKey` alike.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for letter in name.chars() {
        let begins = before_is_lower && letter.is_uppercase();
        if !letter.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_uppercase());
        }
        before_is_lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_credentials_are_told_from_names_about_them() {
        for name in [
            "SECRET_KEY_BASE",
            "JWT_SECRET",
            "NPM_TOKEN",
            "GITHUB_TOKEN",
            "DB_PASSWORD",
            "PGPASSWORD",
            "SMTP_PASS",
            "MYSQL_PWD",
            "STRIPE_API_KEY",
            "OPENAI_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "APP_KEY",
            "RAILS_MASTER_KEY",
            "SSH_PRIVATE_KEY",
            "SUPABASE_SERVICE_ROLE_KEY",
            "npm_config__authToken",
            "apiKey",
            "NODE_AUTH_TOKEN",
            "GOOGLE_CREDENTIALS",
            "SENDGRID_APIKEY",
            "ENCRYPTION_KEY",
        ] {
            assert!(looks_secret(name, "x"), "{name}");
        }
        for name in [
            "PORT",
            "NODE_ENV",
            "PWD",
            "OLDPWD",
            "MAX_TOKENS",
            "TOKEN_URL",
            "SECRET_NAME",
            "AWS_ACCESS_KEY_ID",
            "SECRET_KEY_BASE_DUMMY",
            "JWT_TOKEN_TTL",
            "CACHE_KEY",
            "KEYBOARD",
            "COMPASS_URL",
            "BYPASS",
            "PASSENGER_PORT",
            "NEXT_PUBLIC_API_KEY",
            "VITE_MAPS_TOKEN",
            "NIXPACKS_START_CMD",
            "MONKEY",
            "AUTHOR",
            "GOOGLE_CREDENTIALS_FILE",
        ] {
            assert!(!looks_secret(name, "x"), "{name}");
        }
    }

    #[test]
    fn values_that_hold_no_secret_are_none_whatever_the_name() {
        for value in ["", " ", "true", "0", "False"] {
            assert!(!looks_secret("USE_TOKEN", value), "{value:?}");
        }
    }

    #[test]
    fn addresses_with_a_password_and_private_keys_are_credentials_under_any_name() {
        for value in [
            "postgres://app:hunter2@db:5432/app?sslmode=require",
            "redis://:hunter2@cache",
            "https://user:p@ss@host.test/x",
            "Server=db;User Id=app;Password=hunter2",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        ] {
            assert!(looks_secret("ANYTHING", value), "{value}");
        }
        for value in [
            "postgres://db/app",
            "postgres://app@db/app",
            "http://host.test/a:b@c",
            "user:password@host",
            "Server=db;Password=;",
            "-----BEGIN CERTIFICATE-----",
        ] {
            assert!(!looks_secret("DATABASE_URL", value), "{value}");
        }
    }

    #[test]
    fn the_warning_names_each_and_shows_no_value() {
        let env = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(pair).collect()
        };
        assert_eq!(warning(&env(&[("PORT", "3000")])), None);
        let one = warning(&env(&[("NPM_TOKEN", "hunter2"), ("PORT", "3000")])).unwrap();
        assert!(
            one.starts_with("NPM_TOKEN looks like a credential, and --env puts it into"),
            "{one}"
        );
        let two = warning(&env(&[
            ("A", "a://b:hunter2@c"),
            ("DB_PASSWORD", "hunter3"),
        ]))
        .unwrap();
        assert!(
            two.starts_with("A, DB_PASSWORD look like credentials") && two.contains("--secret"),
            "{two}"
        );
        assert!(!two.contains("hunter"), "{two}");
    }
}
