//! What of the conformance suite does not apply to lockgate, and why. Each is run all the same, and must not pass: what has
//! come to pass has no place here.

/// A scenario that asks for what lockgate does not have.
pub const SCENARIOS: &[(&str, &str)] = &[
    ("tools-call-image", BINARY),
    ("tools-call-audio", BINARY),
    ("tools-call-embedded-resource", BINARY),
    ("tools-call-mixed-content", BINARY),
    ("resources-read-binary", BINARY),
    ("prompts-get-embedded-resource", BINARY),
    ("prompts-get-with-image", BINARY),
    (
        "prompts-get-with-args",
        "Wants a prompt that repeats two arguments of any text. A playbook takes one, a target's name, and refuses any other text.",
    ),
    (
        "tools-call-sampling",
        "lockgate asks no client's model for anything: what a model says would be one more way in.",
    ),
    ("tools-call-elicitation", FORM),
    ("elicitation-sep1034-defaults", FORM),
    ("elicitation-sep1330-enums", FORM),
    (
        "json-schema-2020-12",
        "Looks in the list for a tool of its own with `$defs` and references. Input schemas here are made from manifests, which have neither; the SDKs and the Inspector's strict mode check those that there are.",
    ),
    ("resources-subscribe", SUBSCRIBE),
    ("resources-unsubscribe", SUBSCRIBE),
    (
        "http-custom-header-server-validation",
        "Needs a tool that asks for arguments in headers (`x-mcp-header`). An intermediary that routes by an argument is not wanted between an agent and its approval.",
    ),
    ("input-required-result-basic-elicitation", FORM),
    (
        "input-required-result-basic-sampling",
        "lockgate asks no client's model for anything: what a model says would be one more way in.",
    ),
    (
        "input-required-result-basic-list-roots",
        "lockgate works on PostgreSQL and has no use for a client's directories.",
    ),
    ("input-required-result-request-state", FORM),
    ("input-required-result-multiple-input-requests", FORM),
    ("input-required-result-multi-round", FORM),
    ("input-required-result-missing-input-response", FORM),
    ("input-required-result-non-tool-request", FORM),
    ("input-required-result-result-type", FORM),
    ("input-required-result-tampered-state", FORM),
    ("input-required-result-capability-check", FORM),
    ("input-required-result-ignore-extra-params", FORM),
    ("tasks-mrtr-input", FORM),
    ("tasks-mrtr-composition", FORM),
    (
        "tasks-required-task-error",
        "Needs a tool that can only be called as a task. Every call of lockgate's can also be waited for.",
    ),
    (
        "tasks-status-notifications",
        "The suite skips it itself, for want of a client that listens where tasks are told of.",
    ),
    ("sep-2640-skills-directory", SKILLS),
    ("sep-2640-skills-enumeration", SKILLS),
    ("sep-2640-skills-manifest", SKILLS),
];

/// A check that asks for what lockgate does not have, in a scenario of which the rest applies.
pub const CHECKS: &[(&str, &str, &str)] = &[
    ("server-stateless", "sep-2575-server-rejects-undeclared-capability", CAPABILITY),
    ("server-stateless", "sep-2575-missing-capability-http-400", CAPABILITY),
    (
        "tasks-lifecycle",
        "sep-2663-tasks-get-status-failed",
        "Needs a task that ends in an error of the protocol. A held call ends with its result or with a refusal, and both are results.",
    ),
    (
        "tasks-request-headers",
        "tasks-headers-tolerate-mcp-method-on-tools-call",
        "Compares two answers letter by letter. Each answer names its own run on the record, so no two are the same.",
    ),
    ("tasks-dispatch-and-envelope", "tasks-result-type-complete-on-non-task-responses", FORM),
];

const BINARY: &str = "Results, prompts and resources here are text: rows, their structured form, and pages. No action returns an image, a sound or a file.";
const FORM: &str = "Asks people to type something into a form of the client. Nothing that the agent's side types may decide or change a call, so lockgate only ever shows a link, to clients that declare links (`elicitation.url`); the suite does not.";
const SUBSCRIBE: &str =
    "Resources can't be subscribed to, and the capability is not declared; that a list has changed is told.";
const SKILLS: &str = "An extension for files of skills, which lockgate does not have.";
const CAPABILITY: &str =
    "Needs a tool that can't do without sampling. No call of lockgate's depends on what a client can do.";
