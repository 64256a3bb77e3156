mod bounds;
mod fake;
mod groups;
mod images;
mod real;
