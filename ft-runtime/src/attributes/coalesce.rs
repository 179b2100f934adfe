pub use ft_macros::coalesce;
