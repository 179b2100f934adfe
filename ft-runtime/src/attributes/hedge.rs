pub use ft_macros::hedge;
