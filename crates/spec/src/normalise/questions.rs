//! The questions of a job: catalogue ids and free texts, each once.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Question, QuestionId, Sha256Digest, VerifyError,
    catalogue::{QUESTIONS, looks_like_an_id},
    field::Field,
    limits,
    verify_error::quoted,
};

/// `questions`, else the prompt of `benchmark.input.data`, which a bias benchmark of version v1 may not rely on.
pub(crate) fn questions(
    root: &Field<'_>,
    benchmark: &str,
    version: &str,
) -> Result<Vec<Question>, VerifyError> {
    let asked = root.member("questions")?;
    let mut questions: Vec<Question> = Vec::new();
    let mut seen: HashMap<QuestionId, Arc<str>> = HashMap::new();
    for one in asked.items(limits::MAX_QUESTIONS)? {
        let question = question(&one)?;
        match seen.insert(question.id.clone(), Arc::clone(&question.text)) {
            None => questions.push(question),
            Some(text) if text == question.text => {}
            Some(_) => {
                let id = quoted(question.id.as_str());
                return Err(
                    one.invalid(format_args!("has the id {id}, which is there already with another text"))
                );
            }
        }
    }
    let prompt = root.at(&["benchmark", "input", "data", "prompt"])?;
    let has_prompt = prompt.text(limits::MAX_QUESTION_CHARS)?.is_some();
    if !questions.is_empty() {
        return Ok(questions);
    }
    let bias = benchmark.to_lowercase().contains("bias") && version == "v1";
    if has_prompt && !bias {
        return Ok(vec![free_text(&prompt)?]);
    }
    let fallback = if bias { "" } else { " (or benchmark.input.data.prompt one)" };
    Err(asked.invalid(format_args!("must hold at least one question{fallback}")))
}

fn question(field: &Field<'_>) -> Result<Question, VerifyError> {
    if field.is_text() {
        return match field.text(limits::MAX_QUESTION_CHARS)? {
            Some(text) if looks_like_an_id(text) => of_catalogue(field, text),
            _ => free_text(field),
        };
    }
    if !field.is_object() {
        return Err(field.must("a text, an id of the catalogue, or an object with an id and a text"));
    }
    let (id, text) = (field.member("id")?, field.member("text")?);
    let named = id.text(QuestionId::MAX_CHARS)?.ok_or_else(|| id.must("an id, beside a text"))?;
    let question = free_text(&text)?;
    if let Some((_, known, category)) = QUESTIONS.into_iter().find(|(known, ..)| *known == named) {
        if known != &*question.text {
            return Err(id.invalid(format_args!(
                "{named} belongs to the catalogue's question {known:?}; use another id"
            )));
        }
        return Ok(Question { id: id_of(&id, named)?, category: Some(category.to_owned()), ..question });
    }
    Ok(Question { id: id_of(&id, named)?, ..question })
}

fn id_of(field: &Field<'_>, id: &str) -> Result<QuestionId, VerifyError> {
    QuestionId::new(id).map_err(|error| field.unusable(&error))
}

fn of_catalogue(field: &Field<'_>, id: &str) -> Result<Question, VerifyError> {
    let Some((_, text, category)) = QUESTIONS.into_iter().find(|(known, ..)| *known == id) else {
        let known = QUESTIONS.map(|(known, ..)| known).join(", ");
        let reason = format!(
            "is the unknown question id {}; known are {known}; for a text use {{\"id\", \"text\"}}",
            quoted(id)
        );
        return Err(field.invalid(reason));
    };
    Ok(Question { id: id_of(field, id)?, text: text.into(), category: Some(category.to_owned()) })
}

fn free_text(field: &Field<'_>) -> Result<Question, VerifyError> {
    let text = field.text(limits::MAX_QUESTION_CHARS)?.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| field.invalid("is empty"))?;
    let hash = Sha256Digest::of(text.as_bytes()).to_string();
    let id = QuestionId::new(format!("q-{}", &hash[..12])).expect("14 characters");
    Ok(Question { id, text: text.into(), category: None })
}
