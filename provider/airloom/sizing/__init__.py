"""How large an attempt is, and what follows when it failed: pure arithmetic, no clock and no store.

| module | question |
|---|---|
| `sizing.catalogue` | what do Fargate, Batch and ECS offer, and what is the next larger pair? |
| `sizing.recovery` | an attempt failed: may there be another one, at which size, and who pays for it? |
| `sizing.learning` | what have former runs used, and what should the next one ask for? |
| `sizing.prices` | what does an attempt of that size cost? |

`runtime.sizes` reads from the store what these functions need, and calls them in their order.
"""
