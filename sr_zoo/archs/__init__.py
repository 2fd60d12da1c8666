"""One file per published network. `registry.build_network` makes any of them by name.

coherent       smoothing along edges, before a network (vivid)
drcn           DRCN: Deeply-Recursive Convolutional Network for Image Super-Resolution
drrn           DRRN: Image Super-Resolution via Deep Recursive Residual Network
edsr           EDSR and MDSR: Enhanced Deep Residual Networks for Single Image Super-Resolution
enhancenet     EnhanceNet: Single Image Super-Resolution Through Automated Texture Synthesis (Sajjadi et al., 2017)
espcn          ESPCN: Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel CNN
esrgan         ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks
fsrcnn         FSRCNN: Accelerating the Super-Resolution Convolutional Neural Network
heads          ways from features to pixels: the up-sampling heads, and the interpolated base they correct
house          the house family (srvid): swift, clear and fine
interpolation  the baselines every paper compares with: nearest, bilinear, bicubic (a = -0.5) and Lanczos-3
memnet         MemNet: A Persistent Memory Network for Image Restoration (Tai et al., ICCV 2017), Figures 2 and 3
miniature      every network in small: the same wiring, few features, so that tests and smoke runs take seconds
rcan           RCAN: Image Super-Resolution Using Very Deep Residual Channel Attention Networks
rdn            RDN: Residual Dense Network for Image Super-Resolution (Zhang et al., CVPR 2018), Figures 2 and 3
srcnn          SRCNN: Image Super-Resolution Using Deep Convolutional Networks
srfeat         SRFeat: Single Image Super-Resolution with Feature Discrimination (Park et al., ECCV 2018), Figure 2
srgan          SRGAN: Photo-Realistic Single Image Super-Resolution Using a GAN (Ledig et al., CVPR 2017), Figure 4
srresnet       SRResNet: the generator of SRGAN trained on MSE (Ledig et al., CVPR 2017), Figure 4
subpixel       the sub-pixel CNN of a lecture project (x4 faces, after Shi et al
vdsr           VDSR: Accurate Image Super-Resolution Using Very Deep Convolutional Networks
restore        restore (srvid): the house's chain with color that cannot appear where there is none
"""
