//! `csv`: tables of numbers with a class per row (RFC 4180; comma, semicolon or tab).
//!
//! The first line may be a header. The class is the column called `label`, `class` or `target`,
//! else the last one; every other column is a feature. The form in which scikit-learn ships its
//! tables is read too: its first line holds the numbers of rows and features and the class names.

use super::Dataset;
use super::split::Samples;
use crate::order::Order;
use crate::{Error, Result};

const CLASS_NAMES: [&str; 3] = ["label", "class", "target"];
const MOST_CLASSES: usize = 1000;

/// One line of the table: its number in the file (from 1) and its fields.
type Row = (usize, Vec<String>);

/// Reads a table; features are standardized by mean and deviation of the training split.
///
/// # Errors
/// Names the line and the column.
pub(super) fn open(name: &str, bytes: &[u8]) -> Result<Dataset> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::format(name, format!("at byte {}: it is not text in UTF-8", e.valid_up_to())))?;
    let rows = rows(name, text.trim_start_matches('\u{feff}'))?;
    let Some((first, rest)) = rows.split_first() else {
        return Err(Error::format(name, "it is empty"));
    };
    let table = if let Some(classes) = scikit_learn(first, rest) {
        Table { rows: rest, class: rest[0].1.len() - 1, header: None, classes: Some(classes) }
    } else if is_header(&first.1) {
        let class = first.1.iter().position(|f| CLASS_NAMES.contains(&f.trim().to_lowercase().as_str()));
        let class = class.unwrap_or(first.1.len() - 1);
        Table { rows: rest, class, header: Some(&first.1), classes: None }
    } else {
        Table { rows: &rows, class: first.1.len() - 1, header: None, classes: None }
    };
    table.read(name)
}

struct Table<'a> {
    rows: &'a [Row],
    /// Index of the class column.
    class: usize,
    header: Option<&'a [String]>,
    /// Class names, where labels are numbers into them.
    classes: Option<Vec<String>>,
}

impl Table<'_> {
    fn column(&self, i: usize) -> String {
        match self.header.and_then(|h| h.get(i)) {
            Some(title) => format!("column {} (“{}”)", i + 1, title.trim()),
            None => format!("column {}", i + 1),
        }
    }

    fn read(self, name: &str) -> Result<Dataset> {
        let Some((_, first)) = self.rows.first() else {
            return Err(Error::format(name, "there are no rows below the header"));
        };
        let width = self.header.map_or(first.len(), <[_]>::len);
        if width < 2 {
            return Err(Error::format(name, "it has one column; features and a class are needed"));
        }
        let (mut inputs, mut words) = (Vec::with_capacity(self.rows.len() * (width - 1)), Vec::new());
        for (line, fields) in self.rows {
            if fields.len() != width {
                return Err(Error::format(
                    name,
                    format!("line {line}: {} columns where there are {width} elsewhere", fields.len()),
                ));
            }
            for (i, field) in fields.iter().enumerate() {
                let field = field.trim();
                if i == self.class {
                    if field.is_empty() {
                        return Err(Error::format(
                            name,
                            format!("line {line}, {}: the class is missing", self.column(i)),
                        ));
                    }
                    words.push(field.to_owned());
                    continue;
                }
                match field.parse::<f32>() {
                    Ok(v) if v.is_finite() => inputs.push(v),
                    _ => {
                        return Err(Error::format(
                            name,
                            format!(
                                "line {line}, {}: “{field}” is not a number; every column but the class's holds numbers, and the class is the last column or one called label, class or target",
                                self.column(i)
                            ),
                        ));
                    }
                }
            }
        }
        let (labels, classes) = self.classes(name, &words)?;
        let samples = Samples { name: name.into(), shape: vec![width - 1], inputs, labels, classes };
        let mut data = samples.split()?;
        standardize(&mut data);
        Ok(data)
    }

    fn classes(&self, name: &str, words: &[String]) -> Result<(Vec<u32>, Vec<String>)> {
        if let Some(classes) = &self.classes {
            let labels = words.iter().zip(self.rows).map(|(word, (line, _))| {
                word.parse::<u32>().ok().filter(|l| (*l as usize) < classes.len()).ok_or_else(|| {
                    Error::format(
                        name,
                        format!("line {line}: the class “{word}” is not a number below {}", classes.len()),
                    )
                })
            });
            return Ok((labels.collect::<Result<_>>()?, classes.clone()));
        }
        let mut classes = words.to_vec();
        classes.order();
        classes.dedup();
        if classes.iter().all(|c| c.parse::<f64>().is_ok()) {
            let number = |c: &String| c.parse::<f64>().unwrap_or_default();
            classes.order_by(|a, b| number(a).total_cmp(&number(b)));
        }
        if classes.len() > MOST_CLASSES || classes.len() * 2 > words.len() {
            return Err(Error::format(
                name,
                format!(
                    "{} holds {} different values in {} rows; that is a measurement, not a class",
                    self.column(self.class),
                    classes.len(),
                    words.len()
                ),
            ));
        }
        let index: std::collections::BTreeMap<&str, u32> =
            classes.iter().enumerate().map(|(i, c)| (c.as_str(), i as u32)).collect();
        let labels = words.iter().filter_map(|w| index.get(w.as_str()).copied()).collect();
        Ok((labels, classes))
    }
}

/// The class names, where the first line is `rows,features,names...` and says the truth.
fn scikit_learn(first: &Row, rest: &[Row]) -> Option<Vec<String>> {
    let [rows, features, names @ ..] = first.1.as_slice() else { return None };
    let says = |field: &String, n: usize| field.trim().parse() == Ok(n);
    let true_ = !names.is_empty() && says(rows, rest.len()) && says(features, rest.first()?.1.len() - 1);
    true_.then(|| names.iter().map(|n| n.trim().to_owned()).collect())
}

/// A header names a class column, or holds no numbers at all.
fn is_header(fields: &[String]) -> bool {
    fields.iter().any(|f| CLASS_NAMES.contains(&f.trim().to_lowercase().as_str()))
        || fields.iter().all(|f| f.trim().parse::<f64>().is_err())
}

fn rows(name: &str, text: &str) -> Result<Vec<Row>> {
    let first = text.lines().next().unwrap_or_default();
    let count = |c: char| first.matches(c).count();
    let mut delimiter = ',';
    for other in [';', '\t'] {
        if count(other) > count(delimiter) {
            delimiter = other;
        }
    }
    let mut rows = Vec::new();
    let (mut line, mut row_line) = (1, 1);
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    let mut end = |fields: &mut Vec<String>, row_line: usize| {
        let row = std::mem::replace(fields, vec![String::new()]);
        if row.iter().any(|f| !f.trim().is_empty()) {
            rows.push((row_line, row));
        }
    };
    while let Some(c) = chars.next() {
        let last = fields.len() - 1;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                fields[last].push('"');
            }
            '"' if quoted => quoted = false,
            '"' if fields[last].trim().is_empty() => {
                fields[last].clear();
                quoted = true;
            }
            '\n' => {
                line += 1;
                if quoted {
                    fields[last].push(c);
                } else {
                    end(&mut fields, row_line);
                    row_line = line;
                }
            }
            '\r' if !quoted => {}
            c if c == delimiter && !quoted => fields.push(String::new()),
            c => fields[last].push(c),
        }
    }
    if quoted {
        return Err(Error::format(name, format!("line {row_line}: a quotation mark is never closed")));
    }
    end(&mut fields, row_line);
    Ok(rows)
}

/// Mean 0 and deviation 1 of every feature on the training split; constant features become 0.
fn standardize(data: &mut Dataset) {
    let n = data.sample_len();
    let count = data.train.len().max(1) as f64;
    for feature in 0..n {
        let at = |i: &u32| f64::from(data.inputs[*i as usize * n + feature]);
        let mean = data.train.iter().map(at).sum::<f64>() / count;
        let var = data.train.iter().map(|i| (at(i) - mean).powi(2)).sum::<f64>() / count;
        // Below the resolution of f32 around the mean there is no variation, only rounding.
        let constant = var.sqrt() <= 1e-7 * mean.abs();
        let scale = if constant { 0.0 } else { 1.0 / var.sqrt() };
        for row in data.inputs.chunks_exact_mut(n) {
            row[feature] = ((f64::from(row[feature]) - mean) * scale) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(header: &str, rows: usize) -> String {
        let mut text = String::from(header);
        for i in 0..rows {
            text += &format!("{}.5,{},{}\n", i, i * i % 7, ["cat", "dog"][i % 2]);
        }
        text
    }

    #[test]
    fn reads_with_and_without_a_header() {
        let a = open("t", table("", 30).as_bytes()).unwrap();
        let b = open("t", table("size,age,animal\n", 30).as_bytes()).unwrap();
        let c = open("t", table("\u{feff}size,age,animal\r\n", 30).replace(',', ";").as_bytes()).unwrap();
        assert_eq!(a, b);
        assert_eq!(a, c);
        assert_eq!(a.classes, ["cat", "dog"]);
        assert_eq!((a.shape.clone(), a.train.len(), a.validation.len(), a.test.len()), (vec![2], 20, 5, 5));
    }

    #[test]
    fn the_class_column_is_found_by_name_and_quotes_are_undone() {
        let rows: String = (0..20).map(|i| format!("\"say \"\"{}\"\"\",{i},0\n", i % 2)).collect();
        let data = open("t", format!("Class,a,b\n{rows}").as_bytes()).unwrap();
        assert_eq!(data.classes, ["say \"0\"", "say \"1\""]);
        assert_eq!(data.shape, [2]);
        assert!(data.inputs.iter().skip(1).step_by(2).all(|v| *v == 0.0), "a constant feature is 0");
    }

    #[test]
    fn the_form_of_scikit_learn() {
        let rows: String = (0..20).map(|i| format!("{i},{},{}\n", i * 3 % 5, i % 2)).collect();
        let data = open("t", format!("20,2,malignant,benign\n{rows}").as_bytes()).unwrap();
        assert_eq!(data.classes, ["malignant", "benign"]);
        assert_eq!(data.labels[..3], [0, 1, 0]);
        let bad = format!("20,2,malignant,benign\n{rows}").replace("19,2,1", "19,2,7");
        let message = open("t", bad.as_bytes()).unwrap_err().to_string();
        assert!(message.contains("line 21: the class “7”"), "{message}");
    }

    #[test]
    fn features_are_standardized_by_the_training_split() {
        let data = open("t", table("", 60).as_bytes()).unwrap();
        for feature in 0..2 {
            let values: Vec<f64> = data.train.iter().map(|i| f64::from(data.sample(*i)[feature])).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
            assert!(mean.abs() < 1e-6 && (var - 1.0).abs() < 1e-5, "{mean} {var}");
        }
    }

    #[test]
    fn bad_files_are_answered_with_line_and_column() {
        let message = |text: &str| open("t", text.as_bytes()).unwrap_err().to_string();
        let good = table("size,age,animal\n", 30);
        assert!(
            message(&good.replace("3.5,", "x,")).contains("line 5, column 1 (“size”): “x” is not a number")
        );
        assert!(message(&good.replace("3.5,", "NaN,")).contains("line 5, column 1"));
        assert!(message(&good.replace("3.5,", ",")).contains("“” is not a number"));
        assert!(message(&good.replace("3.5,", "")).contains("line 5: 2 columns where there are 3"));
        assert!(message(&good.replace("dog", "cat")).contains("1 class (cat)"));
        assert!(message(&table("", 4)).contains("4 samples"));
        assert!(message("").contains("empty"));
        assert!(message("a,b,class\n").contains("no rows"));
        assert!(message("1\n2\n3\n").contains("one column"));
        assert!(message(&format!("{good}\"1,2,3\n")).contains("line 32: a quotation mark"));
        let numbers: String = (0..30).map(|i| format!("{i},{}.25\n", i * i)).collect();
        assert!(message(&numbers).contains("column 2 holds 30 different values"));
        assert!(open("t", &[0xff, 0xfe, 0]).unwrap_err().to_string().contains("UTF-8"));
    }
}
