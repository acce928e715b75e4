"""Fast computations, each beside its plain reference.

======================================================  ============================================
fast                                                    plain
======================================================  ============================================
``kernels.lstm.bilstm``                                 ``kernels.plain.packed``
``kernels.gru.gru``                                     ``nn.GRU``, ``copying.model.stepwise``
``kernels.gru.bigru``                                   ``kernels.plain.packed``
``kernels.transformer``                                 formulas in ``tests/plain_encoders.py``
``kernels.products.linear``                             ``F.linear``
the classifier, its Δ                                   ``classification.plain``
the translator: losses, β, Δ, beam search               ``translation.plain``
many copiers at once: ``copying.batched``               ``copying.training.train`` of each
======================================================  ============================================
"""
