impl Fetch for Client {
    #[retry(self.policy, clone(key))]
    #[checkpoint(run = self.run())]
    fn fetch<'life0, 'life1, 'life2, 'async_trait>(
        &'life0 mut self,
        state: &'life1 mut Saved<Progress>,
        key: String,
        attempt: Attempt,
        page: &'life2 u32,
    ) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Result<Row, DbError>> + ::core::marker::Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            if let ::core::option::Option::Some(__ret) = ::core::option::Option::None::<Result<Row, DbError>> {
                #[allow(unreachable_code)]
                return __ret;
            }
            let mut __self = self;
            let key = key;
            let attempt = attempt;
            let __ret: Result<Row, DbError> = { __self.get(key, attempt, page, state).await };
            #[allow(unreachable_code)]
            __ret
        })
    }

    #[checkpoint(key = self.id)]
    fn step<'life0, 'async_trait>(
        &'life0 self,
        key: String,
    ) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Result<Row, DbError>> + ::core::marker::Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let __self = self;
            let key = key;
            let __ret: Result<Row, DbError> = { __self.get(key).await };
            #[allow(unreachable_code)]
            __ret
        })
    }
}
